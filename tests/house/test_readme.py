"""The README says what there is: a setting, command or address that is missing there fails here."""

import re
from pathlib import Path

import click
import pytest

from cli.main import main
from settings.environment import variables
from webhooks.app import create_app
from workers.runtime.counters import METRICS

# As many lines of this width as fit on a printed page.
LINES_OF_A_PAGE = 75

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def rows(heading: str) -> dict[str, list[str]]:
    """Return the table under a heading: its other cells by the first one."""
    section = README.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    cells = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in section.splitlines() if line.startswith("| `")
    ]
    return {first.strip("`"): others for first, *others in cells}


def test_every_setting_stands_in_the_table_with_its_default() -> None:
    """And none stands there that is not read."""
    table = rows("Settings")
    written = {name: cells[0].strip("`") for name, cells in table.items()}
    shown = {name: _shown(default) for name, default in variables().items()}
    assert written == shown


def _shown(default: object) -> str:
    if isinstance(default, bool):
        return str(int(default))
    return str(default) if default not in ("", (), None, {}) else "blank"


def all_commands(group: click.Group, prefix: str) -> dict[str, click.Command]:
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        full = f"{prefix} {name}"
        found |= all_commands(command, full) if isinstance(command, click.Group) else {full: command}
    return found


def test_every_command_is_listed() -> None:
    """And none is listed that does not exist."""
    assert sorted(rows("Commands")) == sorted(all_commands(main, "intercom-mirror"))


def test_every_option_that_is_mentioned_exists() -> None:
    """Whoever copies a command from here gets no error."""
    commands = all_commands(main, "intercom-mirror")
    for name, (text,) in rows("Commands").items():
        options = {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"`(--\w+)`", text)) <= options


def test_every_route_is_listed() -> None:
    """Each address is public by decision, not by accident."""
    routes = {
        f"{method} {rule}"
        for rule in create_app().url_map.iter_rules()
        for method in (rule.methods or set()) - {"OPTIONS", "HEAD" if "GET" in (rule.methods or set()) else ""}
    }
    assert set(rows("What it answers")) == routes


@pytest.mark.parametrize("name", sorted(set(re.findall(r"intercom_mirror_\w+", README))))
def test_every_number_that_is_mentioned_exists(name: str) -> None:
    """An alarm on a misspelt name never rings."""
    gauges = {"intercom_mirror_inbox_depth", "intercom_mirror_inbox_oldest_age_seconds"}
    assert name in gauges | set(METRICS)


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]), ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    """A file that is linked is there, as seen from the page."""
    targets = re.findall(r"\]\(([^)#]+)\)", page.read_text())
    assert [target for target in targets if "://" not in target and not (page.parent / target).exists()] == []


def test_the_architecture_is_one_page() -> None:
    """Some seventy lines are what a person reads before the code; what is more goes to docs/internals.md."""
    assert len((ROOT / "ARCHITECTURE.md").read_text().splitlines()) <= LINES_OF_A_PAGE
