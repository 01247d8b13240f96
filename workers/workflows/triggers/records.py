"""
The record of a trigger: the object as templates and filters see it.

It is the object as the mirror holds it, with Intercom's names. Times are integers of unix seconds, as Intercom accepts
them. Known fields without a value are null, so that a name is an error only if the field does not exist.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import Connection, select

from models.db.bulk import select_by_keys
from models.tables.column_types import Json
from models.tables.columns import COMPANY_FIELDS, CONTACT_FIELDS
from models.tables.public_tables import ENTITIES

# Fields of Intercom's objects that are not columns.
_OTHER_FIELDS = {
    "contact": ("avatar", "location", "social_profiles", "email_verified", "utm_campaign"),
    "company": ("plan",),
}
_FIELDS = {"contact": CONTACT_FIELDS, "company": COMPANY_FIELDS}


class RecordKey(NamedTuple):
    """The identity of a contact or company."""

    workspace_id: str
    object_type: str
    object_id: str


def known_names(object_type: str) -> frozenset[str]:
    """Return the names at the top level of a record."""
    names = {field.path[0] for field in _FIELDS[object_type]} | set(_OTHER_FIELDS[object_type])
    return frozenset(names | {"id", "type", "workspace_id", "archived", "custom_attributes"})


def record(key: RecordKey, raw: Mapping[str, Any], *, archived: bool) -> dict[str, Any]:
    """Return the record of an object from its JSON in the mirror."""
    blank: dict[str, Any] = dict.fromkeys(sorted(known_names(key.object_type)))
    ours = {"id": key.object_id, "workspace_id": key.workspace_id, "archived": archived}
    attributes = raw.get("custom_attributes")
    return blank | dict(raw) | ours | {"custom_attributes": attributes if isinstance(attributes, dict) else {}}


def read(connection: Connection, wanted: Sequence[RecordKey]) -> dict[RecordKey, dict[str, Any]]:
    """Return the records of those contacts and companies that exist."""
    records: dict[RecordKey, dict[str, Any]] = {}
    columns = ("workspace_id", "id", "archived", "_raw")
    for object_type in _FIELDS:
        keys = {(each.workspace_id, each.object_id) for each in wanted if each.object_type == object_type}
        if not keys:
            continue
        rows = select_by_keys(connection, ENTITIES[object_type].table, columns, ("workspace_id", "id"), keys)
        for workspace_id, object_id, archived, raw in rows:
            key = RecordKey(workspace_id, object_type, object_id)
            records[key] = record(key, _json_object(connection, raw), archived=bool(archived))
    return records


def find(connection: Connection, object_type: str, name: str, workspace_id: str | None) -> list[RecordKey]:
    """
    Find objects by id, external id (`company_id` of a company) or, for contacts, e-mail address.

    Args:
        connection: to the database.
        object_type: contact or company.
        name: the value; the first of these columns that has it decides.
        workspace_id: where to look; None: in all workspaces.
    """
    table_columns = ENTITIES[object_type].table.c
    keys: list[RecordKey] = []
    for column in ("id", "external_id", "email") if object_type == "contact" else ("id", "company_id"):
        query = select(table_columns.workspace_id, table_columns.id).where(table_columns[column] == name)
        query = query if workspace_id is None else query.where(table_columns.workspace_id == workspace_id)
        keys = [RecordKey(row.workspace_id, object_type, row.id) for row in connection.execute(query)]
        if keys:
            break
    return keys


def _json_object(connection: Connection, raw: Any) -> dict[str, Any]:
    # Statements in plain SQL return JSON as text on SQLite.
    decode = Json.result_processor(connection.dialect, None) if isinstance(raw, str | bytes) else None
    value = decode(raw) if decode else raw
    return value if isinstance(value, dict) else {}
