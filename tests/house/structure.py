"""
Print figures about the structure of the code: `python -m tests.house.structure`, for comparing two states of it.

For each package: modules, folders, and import edges between its modules (an edge is one module that imports another,
at whatever place in the file). For the product: modules with exactly one importer in the product, file names and class
names that occur more than once, and lines.
"""

import ast
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("cli", "webhooks", "workers", "models", "intercom_api", "settings", "emulator")


def modules() -> dict[str, Path]:
    """Return the product's modules by dotted name; finished migrations are left out."""
    paths = (path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py")))
    found = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path for path in paths if "versions" not in path.parts
    }
    return {name.removesuffix(".__init__"): path for name, path in found.items()}


def edges(known: dict[str, Path]) -> set[tuple[str, str]]:
    """Return the pairs (importing module, imported module)."""
    return {(name, target) for name, path in known.items() for target in _imports(path, known) if target != name}


def _imports(path: Path, known: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                if full in known:
                    yield full
                elif node.module in known:
                    yield node.module


def main() -> None:
    """Print the figures."""
    known = modules()
    pairs = edges(known)
    for package in PACKAGES:
        inside = [name for name in known if name.split(".")[0] == package]
        folders = {known[name].parent for name in inside} - {ROOT / package}
        between = {(a.rpartition(".")[0], b.rpartition(".")[0]) for a, b in pairs if a.split(".")[0] == package}
        between = {(a, b) for a, b in between if a != b and b.split(".")[0] == package}
        within = [pair for pair in pairs if pair[0].split(".")[0] == package == pair[1].split(".")[0]]
        lines = sum(known[name].read_text().count("\n") for name in inside)
        _say(
            f"{package}: {len(inside)} modules, {len(folders)} folders, {len(within)} import edges "
            f"({len(between)} between folders), {lines} lines"
        )
    importers: dict[str, set[str]] = defaultdict(set)
    for importer, imported in pairs:
        importers[imported].add(importer)
    _say(f"modules with exactly one importer: {sum(len(each) == 1 for each in importers.values())}")
    names = Counter(path.name for path in known.values() if not path.name.startswith("__"))
    _repeated("file names", names)
    classes = (
        node.name
        for path in known.values()
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
    )
    _repeated("class names", Counter(classes))
    _say(f"lines: {sum(path.read_text().count(chr(10)) for path in known.values())}")


def _repeated(what: str, names: Counter[str]) -> None:
    repeated = [f"{name} ({count})" for name, count in sorted(names.items()) if count > 1]
    _say(f"{what} that occur more than once: {len(repeated)}: {', '.join(repeated)}")


def _say(line: str) -> None:
    print(line)  # noqa: T201 -- its output is its purpose


if __name__ == "__main__":
    main()
