"""Reading the Markdown pages of the project: pages, headings, links, code spans, tables."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([*ROOT.glob("*.md"), *DOCS.rglob("*.md")])
# The changelog may name what existed in an earlier version.
CURRENT_PAGES = [page for page in PAGES if page.name != "CHANGELOG.md"]

# Languages of fenced blocks whose names are not ours: examples of an application's code, and of workflow files.
_FOREIGN_FENCES = re.compile(r"^ *```(?:python|yaml|html|json|dockerfile)\n.*?^ *```$", re.MULTILINE | re.DOTALL)
_FENCES = re.compile(r"^ *```\w*\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
_SPANS = re.compile(r"`([^`\n]+)`")


def page_id(page: Path) -> str:
    """Return the page's path in the repository, as the id of a test."""
    return page.relative_to(ROOT).as_posix()


def own_text(page: Path) -> str:
    """Return the text of a page without examples in other languages."""
    return _FOREIGN_FENCES.sub("", page.read_text())


def code_in(page: Path) -> list[str]:
    """Return the code spans of a page and the lines of its fenced blocks, without examples in other languages."""
    text = own_text(page)
    lines = [line for block in _FENCES.findall(text) for line in block.splitlines()]
    # A span may continue on the next line.
    return lines + _SPANS.findall(re.sub(r"(?<=\S)\n *(?=\S)", " ", _FENCES.sub("", text)))


def table_rows(page: Path, heading: str) -> dict[str, list[str]]:
    """Return the table under a heading: the other cells of each row by the first one."""
    section = page.read_text().split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| `")
    ]
    return {first.strip("`"): others for first, *others in cells}


def anchors_of(page: Path) -> set[str]:
    """Return the anchors that GitHub gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", _FENCES.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def broken_links(page: Path) -> list[str]:
    """Return the links of a page to files or headings that do not exist."""
    targets = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    return [target for target in targets if "://" not in target and not _exists(page, target)]


def _exists(page: Path, target: str) -> bool:
    path, _, anchor = target.partition("#")
    file = page.parent / path if path else page
    return file.exists() and (not anchor or anchor in anchors_of(file))
