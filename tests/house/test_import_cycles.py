"""No package of the product has an import cycle between its modules."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

_ROOT = Path(__file__).parents[2]
_PACKAGES = ("bench", "cli", "emulator", "intercom_api", "models", "settings", "webhooks", "workers")


def _modules(package: str) -> dict[str, Path]:
    """Return the files of a package by dotted module name."""
    files = (path for path in (_ROOT / package).rglob("*.py") if "versions" not in path.parts)
    return {".".join(path.relative_to(_ROOT).with_suffix("").parts).removesuffix(".__init__"): path for path in files}


def _imports(name: str, path: Path, modules: dict[str, Path]) -> Iterator[str]:
    """Yield the modules that a module imports, also within functions and under TYPE_CHECKING."""
    for node in ast.walk(ast.parse(path.read_text())):
        candidates: list[str] = []
        if isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            # `from package import name` imports the module `package.name` if there is one, otherwise the package.
            members = [f"{node.module}.{alias.name}" for alias in node.names]
            candidates = [member if member in modules else node.module for member in members]
        yield from (candidate for candidate in candidates if candidate in modules and candidate != name)


def _cycle(graph: dict[str, set[str]]) -> list[str]:
    """Return the modules that remain when modules without imports are removed until there are none; none: no cycle."""
    graph = dict(graph)
    while leaves := {name for name, targets in graph.items() if not targets & graph.keys()}:
        graph = {name: targets for name, targets in graph.items() if name not in leaves}
    return sorted(graph)


@pytest.mark.parametrize("package", _PACKAGES)
def test_a_package_has_no_import_cycle(package: str) -> None:
    """A module that needs itself through others cannot be understood, tested or moved alone."""
    modules = _modules(package)
    graph = {name: set(_imports(name, path, modules)) for name, path in modules.items()}
    assert _cycle(graph) == []
