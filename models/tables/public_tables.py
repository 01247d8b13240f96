"""The tables that the application reads: mirrored objects, their links, and the change feed."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from sqlalchemy import Boolean, Column, Index, MetaData, Table, Text, func, text

from models.rule.observations import LINKS
from models.tables.column_types import BigInt, Json, Sequence, UtcDateTime
from models.tables.columns import COMPANY_FIELDS, CONTACT_FIELDS, SEGMENT_FIELDS, TAG_FIELDS, ColumnField

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_SQL_TYPES: dict[str, Any] = {
    # Intercom promises no limit for its strings.
    "text": Text(),
    "indexed": Text(),
    "domain": Text(),
    "boolean": Boolean(),
    "integer": BigInt,
    "time": UtcDateTime(),
}


class Entity(NamedTuple):
    """
    How one type of object is stored.

    Args:
        table: its table.
        fields: the fields of the object that are columns.
        has_custom_attributes: it has custom attributes and can be archived.
        embedded: the lists whose completeness the row states, as column name -> name in LINKS.
    """

    table: Table
    fields: tuple[ColumnField, ...]
    has_custom_attributes: bool
    embedded: dict[str, str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The names of all columns, in the order of the table."""
        return tuple(column.name for column in self.table.columns)


def _entity(
    table: str, fields: tuple[ColumnField, ...], embedded: dict[str, str], *, has_custom_attributes: bool
) -> Entity:
    """Describe a mirrored object; those with custom attributes (contacts, companies) can also be archived."""
    columns: list[Column[Any]] = [Column("workspace_id", Text, primary_key=True), Column("id", Text, primary_key=True)]
    columns += [Column(field.name, _SQL_TYPES[field.kind]) for field in fields]
    if has_custom_attributes:
        columns += [
            Column("archived", Boolean, nullable=False),
            Column("custom_attributes", Json, nullable=False),
        ]
    columns += [Column(name, Boolean, nullable=False) for name in embedded]
    return Entity(Table(table, metadata, *columns, *_provenance()), fields, has_custom_attributes, embedded)


def _provenance() -> Iterator[Column[Any]]:
    yield Column(
        "_raw", Json, nullable=False, comment="canonical JSON of the object, without the lists that have link tables"
    )
    yield Column(
        "_source", Text, nullable=False, comment="source of the last observation: webhook, backfill, refetch, ..."
    )
    yield Column(
        "_version", BigInt, nullable=False, comment="updated_at in unix seconds; negative: only some fields are known"
    )
    yield Column("_synced_at", UtcDateTime, nullable=False, comment="when the mirror last wrote this row")
    yield Column("_verified_at", UtcDateTime, comment="Intercom's time at which a GET by id last returned it")


contacts = _entity(
    "contacts",
    CONTACT_FIELDS,
    {"_companies_complete": "contact_companies", "_tags_complete": "contact_tags"},
    has_custom_attributes=True,
)
companies = _entity("companies", COMPANY_FIELDS, {"_tags_complete": "company_tags"}, has_custom_attributes=True)
tags = _entity("tags", TAG_FIELDS, {}, has_custom_attributes=False)
segments = _entity("segments", SEGMENT_FIELDS, {}, has_custom_attributes=False)

ENTITIES = {"contact": contacts, "company": companies, "tag": tags, "segment": segments}

for _indexed in (contacts.table, companies.table):
    Index(None, _indexed.c.workspace_id, _indexed.c.updated_at)
    Index(
        f"ix_{_indexed.name}_custom_attributes",
        _indexed.c.custom_attributes,
        postgresql_using="gin",
        postgresql_ops={"custom_attributes": "jsonb_path_ops"},
    ).ddl_if(dialect="postgresql")
Index("ix_contacts_email", contacts.table.c.workspace_id, func.lower(contacts.table.c.email))
Index(None, contacts.table.c.workspace_id, contacts.table.c.external_id)
Index(None, companies.table.c.workspace_id, companies.table.c.company_id)


def _link(name: str) -> Table:
    owner, other = (f"{end}_id" for end in LINKS[name])
    table = Table(
        name,
        metadata,
        Column("workspace_id", Text, primary_key=True),
        Column(owner, Text, primary_key=True),
        Column(other, Text, primary_key=True),
    )
    # Not starting like the primary key, for the reason given at models.tables.internal_tables.link_states.
    Index(None, table.c[other], table.c.workspace_id)
    return table


LINK_TABLES = {name: _link(name) for name in LINKS}

data_attributes = Table(
    "data_attributes",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("model", Text, primary_key=True, comment="contact or company"),
    Column("full_name", Text, primary_key=True, comment="path.name; standard attributes have no id in Intercom"),
    Column("id", Text),
    Column("name", Text, nullable=False),
    Column("label", Text),
    Column("description", Text),
    Column("data_type", Text),
    Column("custom", Boolean),
    Column("archived", Boolean),
    Column("_raw", Json, nullable=False),
    Column("_synced_at", UtcDateTime, nullable=False),
)

changes = Table(
    "changes",
    metadata,
    Column("seq", Sequence, primary_key=True, autoincrement=True),
    Column("workspace_id", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    # One of created, updated, deleted, archived, unarchived, merged, linked, unlinked.
    Column("op", Text, nullable=False),
    Column("related_type", Text),
    Column("related_id", Text),
    Column("changed_fields", Json, nullable=False, comment="sorted names of the fields that changed"),
    Column("source", Text, nullable=False),
    Column("notification_id", Text),
    Column("at", UtcDateTime, nullable=False, server_default=text("CURRENT_TIMESTAMP")),
    sqlite_autoincrement=True,
)
Index(None, changes.c.workspace_id, changes.c.seq)
Index(None, changes.c.at)
