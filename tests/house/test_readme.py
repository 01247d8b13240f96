"""Settings, commands and addresses are documented: one that is missing in its table fails here."""

import re
from pathlib import Path

import click
import pytest

from cli.main import main
from settings.environment import variables
from tests.house.documentation import CURRENT_PAGES, DOCS, PAGES, ROOT, broken_links, code_in, page_id, table_rows
from webhooks.app import create_app
from workers.runtime.counters import METRICS

# As many lines of this width as fit on a printed page.
LINES_OF_A_PAGE = 75

README = ROOT / "README.md"
COMMANDS = table_rows(DOCS / "commands.md", "Commands")


def test_every_setting_is_in_the_table_with_its_default() -> None:
    """The table has no setting that is not read, either."""
    written = {name: cells[0].strip("`") for name, cells in table_rows(README, "Settings").items()}
    shown = {name: _shown(default) for name, default in variables().items()}
    assert written == shown


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return str(int(default))
    return str(default) if default not in ("", (), None, {}) else "blank"


def all_commands(group: click.Group, prefix: str) -> dict[str, click.Command]:
    """Return every command that can be run, by its full name."""
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        full = f"{prefix} {name}"
        found |= all_commands(command, full) if isinstance(command, click.Group) else {full: command}
    return found


def options_of(command: click.Command) -> set[str]:
    """Return the options of a command."""
    return {option for parameter in command.params for option in parameter.opts} | {"--help"}


def test_every_command_is_listed() -> None:
    """The table has no command that does not exist, either."""
    assert sorted(COMMANDS) == sorted(all_commands(main, "intercom-mirror"))


def test_every_option_in_the_table_exists() -> None:
    """A command that is copied from the table runs."""
    commands = all_commands(main, "intercom-mirror")
    for name, (text,) in COMMANDS.items():
        assert set(re.findall(r"`(--\w+)`", text)) <= options_of(commands[name])


@pytest.mark.parametrize("page", CURRENT_PAGES, ids=page_id)
def test_every_command_in_the_docs_exists(page: Path) -> None:
    """Each example of `intercom-mirror`, with its subcommand and its options, can be run."""
    assert [line for line in code_in(page) if not _can_be_run(line)] == []


def test_every_command_of_the_procfile_exists() -> None:
    """Each line of the Procfile is a command of the product, with options that it has."""
    lines = (ROOT / "Procfile").read_text().splitlines()
    assert [line for line in lines if "intercom-mirror " not in line or not _can_be_run(line)] == []


def _can_be_run(line: str) -> bool:
    """Return whether a line names an existing command of the product with existing options, or none at all."""
    words = re.search(r"(?:^|[\s/(])intercom-mirror ([^)|#]*)", line)
    if words is None:
        return True
    command: click.Command = main
    for word in words[1].split():
        if word.startswith("--"):
            if word.rstrip(",.") not in options_of(command):
                return False
        elif isinstance(command, click.Group) and re.fullmatch(r"[a-z-]+", word):
            found = command.get_command(click.Context(command), word)
            if found is None:
                return False
            command = found
    return True


@pytest.mark.parametrize("page", CURRENT_PAGES, ids=page_id)
def test_every_setting_in_the_docs_exists(page: Path) -> None:
    """A name in capitals, with an underscore, in a code span is a setting, or a constant of the code."""
    names = {name for code in code_in(page) for name in re.findall(r"^([A-Z]+(?:_[A-Z]+)+)(?:=|$)", code)}
    code = "\n".join(path.read_text() for package in PACKAGES for path in (ROOT / package).rglob("*.py"))
    unknown = names - set(variables()) - FOREIGN_NAMES
    assert {name for name in unknown if not re.search(rf"^{name}\b", code, re.MULTILINE)} == set()


# Variables of `make` and of the tests.
FOREIGN_NAMES = {"TEST_POSTGRES_URL", "PYTEST_OPTIONS", "LOCK_OPTIONS", "TORTURE_OPTIONS", "BENCH_OPTIONS"}
PACKAGES = ("cli", "emulator", "intercom_api", "models", "settings", "webhooks", "workers")


def test_every_route_is_listed() -> None:
    """Each address is public by decision, not by accident."""
    routes = {
        f"{method} {rule}"
        for rule in create_app().url_map.iter_rules()
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD" if "GET" in (rule.methods or set()) else ""}
    }
    assert set(table_rows(DOCS / "http.md", "Addresses")) == routes


@pytest.mark.parametrize(
    "name", sorted({name for page in PAGES for name in re.findall(r"intercom_mirror_\w+", page.read_text())})
)
def test_every_metric_in_the_docs_exists(name: str) -> None:
    """An alert on a misspelt name never fires."""
    gauges = {"intercom_mirror_inbox_depth", "intercom_mirror_inbox_oldest_age_seconds"}
    assert name in gauges | set(METRICS) | NOT_METRICS


# The channel of LISTEN.
NOT_METRICS = {"intercom_mirror_changes"}


@pytest.mark.parametrize("page", PAGES, ids=page_id)
def test_links_resolve(page: Path) -> None:
    """A file that is linked exists, seen from the page, and so does the heading."""
    assert broken_links(page) == []


def test_the_architecture_is_one_page() -> None:
    """About seventy lines are what a person reads before the code; the rest is in docs/internals.md."""
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= LINES_OF_A_PAGE
