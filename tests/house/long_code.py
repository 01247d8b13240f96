"""
List modules and functions that may have grown past one idea: `python -m tests.house.long_code`, run by `make lint`.

A list to read, not a rule: it never fails.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PACKAGES = ("bench", "cli", "emulator", "intercom_api", "models", "settings", "webhooks", "workers")

# Lines. Nine in ten functions and modules of well-kept codebases are several times shorter.
LONG_MODULE = 400
LONG_FUNCTION = 60


def long_code() -> Iterator[str]:
    """Yield one line for each long module and each long function; finished migrations are left out."""
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        if "versions" in path.parts:
            continue
        text, name = path.read_text(), path.relative_to(ROOT)
        if (length := text.count("\n")) > LONG_MODULE:
            yield f"{name}: {length} lines"
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > LONG_FUNCTION:
                    yield f"{name}:{node.lineno} {node.name}: {length} lines"


if __name__ == "__main__":
    for line in long_code():
        print(f"Long: {line}")  # noqa: T201 -- its output is its purpose
