"""Outgoing webhooks: the endpoints, and a delivery for each change that is to be sent to one of them."""

from sqlalchemy import Column, Index, Integer, LargeBinary, Table, Text, UniqueConstraint, text

from models.tables.column_types import BigInt, Json, Sequence, UtcDateTime
from models.tables.public_tables import metadata

endpoints = Table(
    "endpoints",
    metadata,
    Column("id", Text, primary_key=True),
    Column("user_id", Text, comment="owner; receives changes of their workspaces. null: the operator, all workspaces"),
    Column("url", Text, nullable=False),
    Column("secret", LargeBinary, nullable=False, comment="encrypted"),
    Column(
        "old_secret",
        LargeBinary,
        comment="encrypted; also signs until old_until, while receivers switch to the new secret",
    ),
    Column("old_until", UtcDateTime),
    Column("types", Json, nullable=False, comment="object types to send; an empty list: all"),
    Column("ops", Json, nullable=False, comment="operations to send; an empty list: all"),
    Column("sources", Json, nullable=False, comment="sources to send; an empty list: all"),
    Column("status", Text, nullable=False, comment="enabled or disabled"),
    Column("reason", Text, comment="why it is disabled; a sentence without personal data"),
    Column("seq", BigInt, nullable=False, comment="the last change that was checked for this endpoint"),
    Column("failures", Integer, nullable=False, server_default=text("0"), comment="consecutive failures"),
    Column("failing_since", UtcDateTime, comment="time of the first of the consecutive failures"),
    Column("rest_until", UtcDateTime, comment="not called before this time"),
    Column("created_at", UtcDateTime, nullable=False),
)
Index(None, endpoints.c.user_id)

deliveries = Table(
    "deliveries",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("endpoint_id", Text, nullable=False),
    Column("change_seq", BigInt, nullable=False),
    Column("workspace_id", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("body", Text, nullable=False, comment="the request body; ids and field names, no personal data"),
    Column("state", Text, nullable=False, comment="waiting, delivered or failed"),
    Column("attempts", Integer, nullable=False, server_default=text("0")),
    Column("first_tried_at", UtcDateTime),
    Column("due_at", UtcDateTime, nullable=False, comment="not attempted before this time"),
    Column("lease_until", UtcDateTime, comment="a process works on the delivery until then"),
    Column("status", Integer, comment="HTTP status of the last response"),
    Column("error", Text, comment="error of the last attempt; a sentence without personal data"),
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
