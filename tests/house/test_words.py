"""The words that people read are plain technical English: words that made the code hard to read stay out."""

import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# Words of an earlier dialect: people for processes, verbs of speech for data, metaphors that no glossary defines.
REJECTED = re.compile(
    r"\b(told|tells?|nobody|somebody|whoever|everybody|anybody|anew|beside|hears?|heard|haze|bury|buried|pretend\w*"
    # Not before a quotation mark: that may be a JSON key, and those stay.
    r"|virgin|spoilt|crew|desk|glance|in doubt|cannot be had|not in order|in hand|is away)\b(?!\")",
    re.IGNORECASE,
)
# Libraries' and this test's own texts, finished migrations, and what is no text.
LEFT_OUT = ("LICENSE", "requirements", "models/migrations/versions/", "tests/house/test_words.py", "docs/benchmark.md")
ENDINGS = (
    ".py",
    ".md",
    ".html",
    ".js",
    ".ts",
    ".css",
    ".lua",
    ".yaml",
    ".yml",
    ".toml",
    ".sql",
    "Makefile",
    "Procfile",
)


def pages() -> list[str]:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout.split()  # noqa: S607 -- the git of the path
    return [name for name in listed if name.endswith(ENDINGS) and not name.startswith(LEFT_OUT)]


@pytest.mark.parametrize("page", pages())
def test_a_file_uses_plain_words(page: str) -> None:
    """Write the field's own term instead; a term of ours gets an entry in the glossary."""
    lines = (ROOT / page).read_text().splitlines()
    assert [line.strip() for line in lines if REJECTED.search(line)] == []
