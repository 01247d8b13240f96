"""The examples in docs/reading-the-tables.md run as they are, on both databases."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, Table, insert, inspect, text

from models.db.engine import read_engine, transaction, write_engine
from models.tables import public_tables

WORKSPACE = "ws000001"
NOW = datetime(2026, 1, 10, 4, 11, 34, tzinfo=UTC)
OLD = datetime(2025, 3, 1, tzinfo=UTC)
_TEXT = (Path(__file__).parents[2] / "docs" / "reading-the-tables.md").read_text()

_PROVENANCE = {"_raw": {}, "_source": "backfill", "_version": 1, "_synced_at": NOW}
_CONTACT = {"archived": False, "custom_attributes": {}, "_companies_complete": True, "_tags_complete": True}
_COMPANY = {"archived": False, "custom_attributes": {}, "_tags_complete": True}

# The answer to each question in the small workspace below.
_ANSWERS: dict[str, list[tuple[Any, ...]]] = {
    "Who has this e-mail address?": [
        ("c1", "user", "Ada", "Ada@Example.com"),
        ("c2", "lead", "Ada too", "ada@example.com"),
    ],
    "Which contact is our own user?": [("c1", "Ada", "Ada@Example.com", NOW)],
    "Who belongs to a company?": [("c1", "Ada", "Ada@Example.com")],
    "Who has a tag?": [("c3", "Bob")],
    "Whose custom attribute has this value?": [("c3", "pro")],
    "Who has not been seen since?": [("c3", "Bob", OLD)],
    "How many users and leads does each teammate look after?": [("7", "lead", 1), ("7", "user", 2)],
    "What do companies spend, by plan?": [("Large", 2, 900), ("Small", 1, 20)],
    "Where did a contact go that we knew?": [("c1",)],
    "How fresh is all this?": [
        ("company", 3, 0, None, None, None, None, None),
        ("contact", 4, 0, 0.2, NOW, None, None, None),
        ("tag", 1, 0, None, None, None, None, None),
    ],
}
_BOUND = {
    "workspace_id": WORKSPACE,
    "email": "ADA@example.com",
    "external_id": "u-1",
    "company_id": "acme",
    "tag": "vip",
    "attribute": "plan_tier",
    "value": "pro",
    "since": "2025-12-01 00:00:00",
    "contact_id": "c9",
    "last_seq": 0,
    "user_id": "u-1",
}


def _rows() -> Iterator[tuple[Table, list[dict[str, Any]]]]:
    """Yield the rows of a small workspace, by table."""
    yield (
        public_tables.contacts.table,
        [
            {
                "id": "c1",
                "role": "user",
                "name": "Ada",
                "email": "Ada@Example.com",
                "external_id": "u-1",
                "last_seen_at": NOW,
            },
            {"id": "c2", "role": "lead", "name": "Ada too", "email": "ada@example.com"},
            {"id": "c3", "role": "user", "name": "Bob", "last_seen_at": OLD, "custom_attributes": {"plan_tier": "pro"}},
            {"id": "c4", "role": "user", "name": "Gone", "email": "ada@example.com", "archived": True},
        ],
    )
    yield (
        public_tables.companies.table,
        [
            {"id": "k1", "company_id": "acme", "name": "Acme", "plan_name": "Large", "monthly_spend": 800},
            {"id": "k2", "company_id": "bcme", "name": "Bcme", "plan_name": "Large", "monthly_spend": 100},
            {"id": "k3", "company_id": "ccme", "name": "Ccme", "plan_name": "Small", "monthly_spend": 20},
        ],
    )
    yield public_tables.tags.table, [{"id": "t1", "name": "vip"}]


_DEFAULTS: dict[str, dict[str, Any]] = {"contacts": {"owner_id": "7", **_CONTACT}, "companies": _COMPANY, "tags": {}}


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine that reads the small workspace, and another workspace with the same rows."""
    writer = write_engine(database_url)
    with transaction(writer) as connection:
        for table, rows in _rows():
            for workspace_id in (WORKSPACE, "ws000002"):
                for row in rows:
                    whole = {"workspace_id": workspace_id, **_DEFAULTS[table.name], **_PROVENANCE, **row}
                    connection.execute(insert(table).values(whole))
        tables = public_tables.metadata.tables
        here: dict[str, Any] = {"workspace_id": WORKSPACE}
        for name, row in (
            ("contact_companies", {"contact_id": "c1", "company_id": "k1"}),
            ("contact_tags", {"contact_id": "c3", "tag_id": "t1"}),
            ("contact_merges", {"from_id": "c9", "into_id": "c8", "merged_at": NOW}),
            ("contact_merges", {"from_id": "c8", "into_id": "c1", "merged_at": NOW}),
            ("sync_marks", {"object_type": "contact", "last_notification_at": NOW, "lag_seconds": 0.2}),
            (
                "changes",
                {
                    "object_type": "contact",
                    "object_id": "c1",
                    "op": "created",
                    "changed_fields": [],
                    "source": "webhook",
                    "at": NOW,
                },
            ),
        ):
            connection.execute(insert(tables[name]).values(here | row))
    writer.dispose()
    reader = read_engine(database_url)
    yield reader
    reader.dispose()


def blocks(language: str) -> list[tuple[str, str]]:
    """Return the examples of the page, each with its heading."""
    parts = re.split(r"^#+ (.*)$", _TEXT, flags=re.MULTILINE)
    pairs = zip(parts[1::2], parts[2::2], strict=True)
    found = [
        (heading, re.findall(rf"^ *```{language}\n(.*?)```", body, re.MULTILINE | re.DOTALL)) for heading, body in pairs
    ]
    return [(heading, block) for heading, each in found for block in each]


def query(engine: Engine, statement: str) -> list[tuple[Any, ...]]:
    bound = {name: value for name, value in _BOUND.items() if f":{name}" in statement}
    with engine.connect() as connection:
        return [tuple(map(_plain, row)) for row in connection.execute(text(statement), bound)]


def _plain(value: Any) -> Any:
    # Times on SQLite are text.
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{6}", value):
        return datetime.fromisoformat(value).replace(tzinfo=UTC)
    return value.astimezone(UTC) if isinstance(value, datetime) else value


def test_the_page_answers_ten_questions() -> None:
    """Each with one statement, which the next test executes."""
    assert [heading for heading, _ in blocks("sql") if heading.endswith("?")] == list(_ANSWERS)
    assert len(_ANSWERS) == 10


@pytest.mark.parametrize("question", list(_ANSWERS))
def test_a_question_is_answered(engine: Engine, question: str) -> None:
    """With the rows of this workspace only."""
    [statement] = [block for heading, block in blocks("sql") if heading == question]
    assert query(engine, statement) == _ANSWERS[question]


def test_every_statement_of_the_page_runs(engine: Engine) -> None:
    """The statements that answer none of the ten questions run as well."""
    others = {heading: query(engine, block) for heading, block in blocks("sql") if heading not in _ANSWERS}
    assert [line[1:4] for line in others.pop("Following changes")] == [("contact", "c1", "created")]
    assert others == {"Reading the tables": []}


def test_the_example_for_sqlalchemy_runs(engine: Engine, database_url: str) -> None:
    """It reflects a view and reads it."""
    [(_, source)] = [each for each in blocks("python") if each[0] == "SQLAlchemy"]
    names: dict[str, Any] = {}
    exec(source, names)  # noqa: S102 -- the page is part of this repository
    assert engine.dialect.name in database_url
    found = names["people_with"](database_url, WORKSPACE, "ADA@example.com")
    assert sorted(found) == [("c1", "Ada"), ("c2", "Ada too")]


def test_the_fields_of_the_example_for_django_exist(engine: Engine) -> None:
    """They are columns of the view that it reads."""
    [(_, source)] = [each for each in blocks("python") if each[0] == "Django"]
    [view] = re.findall(r'db_table = "(\w+)"', source)
    fields = re.findall(r"^    (\w+) = models\.\w+Field", source, re.MULTILINE)
    assert len(fields) > 5
    with engine.connect() as connection:
        assert set(fields) <= {each["name"] for each in inspect(connection).get_columns(view)}
