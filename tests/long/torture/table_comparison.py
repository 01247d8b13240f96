"""The tables against the truth: what a workspace's rows must be, worked out from its REST forms alone."""

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Engine, text
from sqlalchemy.engine import Row

# Columns that hold something else than the field of their name, by table.
_SPECIAL: Mapping[str, Mapping[str, tuple[str, ...]]] = {
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

# Intercom changes these without telling anybody, or they are not part of an object.
_EXCEPTED = frozenset({"workspace_id", "last_request_at", "session_count", "user_count"})

# The table, the id of an object or the two ids of a link, and what is wrong.
Difference = tuple[str, str, str]


def differences(engine: Engine, truth: Mapping[str, Any], doubtful: frozenset[str]) -> list[Difference]:
    """
    Compare the tables with the truth; returns (table, ids, what differs), nothing if all is as it should be.

    Args:
        engine: of the tables.
        truth: `Workspace.truth()`.
        doubtful: ids of objects of which something was never delivered; they and their links are left out.
    """
    with engine.connect() as connection:
        return [found for found in _all(connection, truth) if not doubtful.intersection(found[1].split())]


def _all(connection: Connection, truth: Mapping[str, Any]) -> Iterator[Difference]:
    for table in ("contacts", "companies"):
        yield from _objects(connection, table, truth[table])
    contacts = truth["contacts"].values()
    yield from _pairs(
        connection,
        "contact_companies",
        "contact_id, company_id",
        {f"{c['id']} {other}" for c in contacts for other in c["_company_ids"]},
    )
    yield from _pairs(
        connection,
        "contact_tags",
        "contact_id, tag_id",
        {f"{c['id']} {other}" for c in contacts for other in c["_tag_ids"]},
    )
    yield from _names_of_tags(connection, truth["tags"])
    ends = {f"{source} {_end_of(truth['redirects'], source)}" for source in truth["redirects"]}
    yield from _pairs(connection, "contact_redirects", "from_id, into_id", ends)


def _objects(connection: Connection, table: str, true: Mapping[str, Any]) -> Iterator[Difference]:
    rows = {row.id: row for row in connection.execute(text(f"SELECT * FROM {table}"))}  # noqa: S608 -- a constant
    for object_id in rows.keys() - true.keys():
        yield table, object_id, "is there, and should not be"
    for object_id, item in true.items():
        if object_id not in rows:
            yield table, object_id, "is missing"
        elif wrong := list(_wrong_columns(table, rows[object_id], item)):
            yield table, object_id, f"differs in {', '.join(wrong)}"


def _wrong_columns(table: str, row: Row[Any], item: Mapping[str, Any]) -> Iterator[str]:
    for column, value in row._mapping.items():
        if column.startswith("_") or column in _EXCEPTED:
            continue
        wanted = _wanted(table, column, item)
        if _plain(value, wanted) != wanted:
            yield column


def _wanted(table: str, column: str, item: Mapping[str, Any]) -> Any:
    if table == "companies" and column == "archived":
        return False
    value: Any = item
    for key in _SPECIAL[table].get(column, (column,)):
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _plain(value: Any, wanted: Any) -> Any:
    """Bring what a driver returns for a column to what JSON has: unix seconds, booleans, objects."""
    if isinstance(value, datetime):
        return int(value.timestamp())
    if isinstance(wanted, bool) and value in (0, 1):
        return bool(value)
    if isinstance(value, str) and isinstance(wanted, dict):
        return json.loads(value)
    if isinstance(value, str) and isinstance(wanted, int):
        # SQLite keeps times as text in UTC.
        return int(datetime.fromisoformat(value).replace(tzinfo=UTC).timestamp())
    return value


def _names_of_tags(connection: Connection, true: Mapping[str, str]) -> Iterator[Difference]:
    # A tag that was never on anything need not be known.
    for tag_id, name in connection.execute(text("SELECT id, name FROM tags")):
        if true.get(tag_id) != name:
            yield "tags", tag_id, "has another name"


def _pairs(connection: Connection, table: str, columns: str, true: set[str]) -> Iterator[Difference]:
    query = text(f"SELECT {columns} FROM {table}")  # noqa: S608 -- constants
    there = {f"{one} {other}" for one, other in connection.execute(query)}
    yield from ((table, pair, "is there, and should not be") for pair in there - true)
    yield from ((table, pair, "is missing") for pair in true - there)


def _end_of(redirects: Mapping[str, str], contact_id: str) -> str:
    while contact_id in redirects:
        contact_id = redirects[contact_id]
    return contact_id
