"""Outgoing webhooks: the endpoints, and one row for each line of the feed that one of them is to be told."""

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint, text

from models.tables.column_types import Json, Sequence, UtcDateTime, Whole
from models.tables.public_tables import metadata

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, comment="whose workspaces it hears of; null: the operator's, of all"),
    Column("url", Text, nullable=False),
    Column("secret", LargeBinary, nullable=False, comment="encrypted"),
    Column("old_secret", LargeBinary, comment="encrypted; signs as well while the new one is being rolled out"),
    Column("old_until", UtcDateTime),
    Column("types", Json, nullable=False, comment="types of objects; an empty list: all"),
    Column("ops", Json, nullable=False, comment="operations; an empty list: all"),
    Column("sources", Json, nullable=False, comment="sources; an empty list: all"),
    Column("status", Text, nullable=False, comment="enabled or disabled"),
    Column("reason", Text, comment="why it is disabled; a sentence without personal data"),
    Column("seq", Whole, nullable=False, comment="the last line of the feed that was looked at for it"),
    Column("failures", Integer, nullable=False, server_default=text("0"), comment="in a row"),
    Column("failing_since", UtcDateTime, comment="when the first of them was"),
    Column("rest_until", UtcDateTime, comment="it is not called before"),
    Column("created_at", UtcDateTime, nullable=False),
)
Index(None, endpoints.c.user_id)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("endpoint_id", Text, nullable=False),
    Column("change_seq", Whole, nullable=False),
    Column("workspace_id", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("body", Text, nullable=False, comment="what is posted; ids and names of fields, no personal data"),
    Column("state", Text, nullable=False, comment="waiting, delivered or failed"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("first_tried_at", UtcDateTime),
    Column("due_at", UtcDateTime, nullable=False, comment="not tried before"),
    Column("lease_until", UtcDateTime, comment="until then a process is at work on it"),
    Column("status", Integer, comment="of the last answer"),
    Column("error", Text, comment="of the last try; a sentence without personal data"),
    Column("created_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    UniqueConstraint("endpoint_id", "change_seq", name="uq_deliveries_change"),
    sqlite_autoincrement=True,
)
_WAITING = deliveries.c.state == "waiting"
Index(
    "ix_deliveries_waiting",
    deliveries.c.endpoint_id,
    deliveries.c.workspace_id,
    deliveries.c.object_type,
    deliveries.c.object_id,
    deliveries.c.id,
    postgresql_where=_WAITING,
    sqlite_where=_WAITING,
)
Index(None, deliveries.c.created_at)
