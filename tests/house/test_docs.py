"""The documentation says what the code does: a topic, table or column that is missing there fails here."""

from pathlib import Path

import pytest

from emulator.example_notifications import example
from intercom_api.wire.topics import HANDLED_TOPICS
from models.tables.all_tables import metadata
from models.tables.views import views

DOCS = Path(__file__).parents[2] / "docs"

# Tables that only the mirror itself reads; the rest is a contract with the application.
PRIVATE = {
    "action_keys",
    "connections",
    "contact_merges",
    "deliveries",
    "endpoints",
    "feed_cursors",
    "link_states",
    "notifications",
    "object_states",
    "parked",
    "sync_marks",
    "sync_parts",
    "sync_runs",
    "sync_seen",
    "workflow_effects",
    "workflow_files",
    "workflow_runs",
    "workflow_sources",
    "workflow_steps",
    "workspaces",
}


@pytest.mark.parametrize("topic", sorted(HANDLED_TOPICS))
def test_every_topic_has_a_line_and_an_example(topic: str) -> None:
    """What is mirrored can be looked up and tried out."""
    assert f"`{topic}`" in (DOCS / "topics.md").read_text()
    assert example(topic, 1_767_700_000)["topic"] == topic


@pytest.mark.parametrize("table", sorted(set(metadata.tables) - PRIVATE))
def test_every_table_and_column_is_described(table: str) -> None:
    """The application's developers find each column under its table."""
    text = (DOCS / "tables.md").read_text()
    assert f"## `{table}`" in text, f"docs/tables.md has no section for {table}"
    section = text.split(f"## `{table}`")[1].split("\n## ")[0]
    missing = [column.name for column in metadata.tables[table].columns if f"`{column.name}`" not in section]
    assert missing == []


@pytest.mark.parametrize("view", sorted(views("postgresql")))
def test_every_view_is_described(view: str) -> None:
    """Views are named too."""
    assert f"`{view}`" in (DOCS / "tables.md").read_text()


@pytest.mark.parametrize("name", sorted(PRIVATE))
def test_private_tables_are_named_as_such(name: str) -> None:
    """Whoever looks at the database finds out what not to rely on."""
    assert f"`{name}`" in (DOCS / "tables.md").read_text()


def test_read_only_grants_every_table_of_the_contract() -> None:
    """The application's role can read what it is promised, and nothing private."""
    text = (DOCS / "read_only.sql").read_text()
    granted = {name for name in (*metadata.tables, *views("postgresql")) if f" {name}" in text.replace(",", "")}
    assert granted == (set(metadata.tables) - PRIVATE) | set(views("postgresql"))
