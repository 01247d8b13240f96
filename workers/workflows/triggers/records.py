"""
The record of a trigger, as templates and filters see it.

It is the object as the mirror holds it, in Intercom's names; times are whole unix seconds, as Intercom takes them.
Known fields that nobody told of are null, so that a name is a mistake only if it does not exist.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from models.db.bulk import select_by_keys
from models.tables.column_types import Json
from models.tables.columns import COMPANY_FIELDS, CONTACT_FIELDS
from models.tables.public_tables import ENTITIES

# Fields that Intercom has beside those that are columns.
_MORE = {
    "contact": ("avatar", "location", "social_profiles", "email_verified", "utm_campaign"),
    "company": ("plan",),
}
_FIELDS = {"contact": CONTACT_FIELDS, "company": COMPANY_FIELDS}


class RecordKey(NamedTuple):
    """Which object."""

    workspace_id: str
    object_type: str
    object_id: str


def known_names(object_type: str) -> frozenset[str]:
    """Return the names at the top of a record."""
    names = {field.path[0] for field in _FIELDS[object_type]} | set(_MORE[object_type])
    return frozenset(names | {"id", "type", "workspace_id", "archived", "custom_attributes"})


def record(object_type: str, address: RecordKey, raw: Mapping[str, Any], *, archived: bool) -> dict[str, Any]:
    """Complete what the mirror holds of an object."""
    blank: dict[str, Any] = dict.fromkeys(sorted(known_names(object_type)))
    ours = {"id": address.object_id, "workspace_id": address.workspace_id, "archived": archived}
    attributes = raw.get("custom_attributes")
    return blank | dict(raw) | ours | {"custom_attributes": attributes if isinstance(attributes, dict) else {}}


def read(connection: Connection, wanted: Sequence[RecordKey]) -> dict[RecordKey, dict[str, Any]]:
    """Return the records of contacts and companies that exist."""
    found: dict[RecordKey, dict[str, Any]] = {}
    for object_type in _FIELDS:
        keys = {(each.workspace_id, each.object_id) for each in wanted if each.object_type == object_type}
        if not keys:
            continue
        table = ENTITIES[object_type].table
        columns = ("workspace_id", "id", "archived", "_raw")
        for workspace_id, object_id, archived, raw in select_by_keys(
            connection, table, columns, ("workspace_id", "id"), keys
        ):
            address = RecordKey(workspace_id, object_type, object_id)
            found[address] = record(object_type, address, _object(connection, raw), archived=bool(archived))
    return found


def find(connection: Connection, object_type: str, name: str, workspace_id: str | None) -> list[RecordKey]:
    """Return the objects with this id, external id (company_id) or, for contacts, e-mail."""
    columns = ENTITIES[object_type].table.c
    names = ("id", "external_id", "email") if object_type == "contact" else ("id", "company_id")
    found = []
    for column in names:
        query = select(columns.workspace_id, columns.id).where(columns[column] == name)
        query = query if workspace_id is None else query.where(columns.workspace_id == workspace_id)
        found = [RecordKey(row.workspace_id, object_type, row.id) for row in connection.execute(query)]
        if found:
            break
    return found


def _object(connection: Connection, raw: Any) -> dict[str, Any]:
    # Statements in plain SQL get JSON as text on SQLite.
    read_json = Json.result_processor(connection.dialect, None) if isinstance(raw, str | bytes) else None
    value = read_json(raw) if read_json else raw
    return value if isinstance(value, dict) else {}
