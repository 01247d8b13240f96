"""Comparing the tables with an emulated workspace: the expected rows are computed from its REST objects alone."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import Row

# The path of the value in the REST object, for columns that are not a top-level field of that name, by table.
_PATHS: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    "contacts": {
        "avatar_image_url": ("avatar", "image_url"),
        "archived": ("_archived",),
        **{
            f"location_{part}": ("location", part)
            for part in ("country", "region", "city", "country_code", "continent_code")
        },
    },
    "companies": {"plan_id": ("plan", "id"), "plan_name": ("plan", "name")},
}

# Intercom changes these without a notification, or they are not part of an object.
_IGNORED = frozenset({"workspace_id", "last_request_at", "session_count", "user_count"})

# The table, the id of an object or the two ids of a link, and what is wrong.
Difference = tuple[str, str, str]

_UNEXPECTED, _MISSING = "is there, and should not be", "is missing"


def differences(engine: Engine, truth: Mapping[str, Any], undelivered: frozenset[str]) -> list[Difference]:
    """
    Compare the tables with a workspace.

    Args:
        engine: of the tables.
        truth: the workspace's objects by type, as its `truth()` returns them.
        undelivered: ids of objects of which a notification was lost; they and their links are left out.

    Returns:
        The table, the ids and what differs; empty if nothing does.
    """
    with engine.connect() as connection:
        return [each for each in _all(connection, truth) if not undelivered.intersection(each[1].split())]


def _all(connection: Connection, truth: Mapping[str, Any]) -> Iterator[Difference]:
    for table in ("contacts", "companies"):
        yield from _compare_objects(connection, table, truth[table])
    contacts = truth["contacts"].values()
    yield from _compare_pairs(
        connection,
        "contact_companies",
        "contact_id, company_id",
        {f"{c['id']} {other}" for c in contacts for other in c["_company_ids"]},
    )
    yield from _compare_pairs(
        connection,
        "contact_tags",
        "contact_id, tag_id",
        {f"{c['id']} {other}" for c in contacts for other in c["_tag_ids"]},
    )
    yield from _compare_tag_names(connection, truth["tags"])
    redirects = {f"{source} {_survivor(truth['redirects'], source)}" for source in truth["redirects"]}
    yield from _compare_pairs(connection, "contact_redirects", "from_id, into_id", redirects)


def _compare_objects(connection: Connection, table: str, expected: Mapping[str, Any]) -> Iterator[Difference]:
    rows = {row.id: row for row in connection.execute(text(f"SELECT * FROM {table}"))}  # noqa: S608 -- a constant
    for object_id in rows.keys() - expected.keys():
        yield table, object_id, _UNEXPECTED
    for object_id, item in expected.items():
        if object_id not in rows:
            yield table, object_id, _MISSING
        elif columns := list(_differing_columns(table, rows[object_id], item)):
            yield table, object_id, f"differs in {', '.join(columns)}"


def _differing_columns(table: str, row: Row[Any], item: Mapping[str, Any]) -> Iterator[str]:
    for column, value in row._mapping.items():
        if column.startswith("_") or column in _IGNORED:
            continue
        expected = _expected_value(table, column, item)
        if _as_json(value, expected) != expected:
            yield column


def _expected_value(table: str, column: str, item: Mapping[str, Any]) -> Any:
    if table == "companies" and column == "archived":
        return False
    value: Any = item
    for key in _PATHS[table].get(column, (column,)):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _as_json(value: Any, expected: Any) -> Any:
    """Convert what a driver returns for a column to what JSON has: unix seconds, booleans, objects."""
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(expected, bool) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and isinstance(expected, dict):
        return json.loads(value)
    if isinstance(value, str) and isinstance(expected, int):
        # SQLite stores times as text in UTC.
        return int(datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp())
    return value


def _compare_tag_names(connection: Connection, expected: Mapping[str, str]) -> Iterator[Difference]:
    # A tag that was never on an object may be missing.
    for tag_id, name in connection.execute(text("SELECT id, name FROM tags")):
        if expected.get(tag_id) != name:
            yield "tags", tag_id, "has another name"


def _compare_pairs(connection: Connection, table: str, columns: str, expected: set[str]) -> Iterator[Difference]:
    query = text(f"SELECT {columns} FROM {table}")  # noqa: S608 -- constants
    stored = {f"{one} {other}" for one, other in connection.execute(query)}
    yield from ((table, pair, _UNEXPECTED) for pair in stored - expected)
    yield from ((table, pair, _MISSING) for pair in expected - stored)


def _survivor(redirects: Mapping[str, str], contact_id: str) -> str:
    while contact_id in redirects:
        contact_id = redirects[contact_id]
    return contact_id
