"""The tables of long jobs: each run, its parts, and the objects that a complete run has read so far."""

from sqlalchemy import Column, Index, Integer, Table, Text, text

from models.tables.column_types import BigInt, Json, Sequence, UtcDateTime
from models.tables.public_tables import metadata

sync_runs = Table(
    "sync_runs",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("workspace_id", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="backfill, reconcile or verify"),
    Column("state", Text, nullable=False, comment="queued, running, done, failed or waiting (for an operator)"),
    Column("asked_by", Text, nullable=False, comment="connect, schedule or command"),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column(
        "lease_until",
        UtcDateTime,
        comment="no other process may work on the run before; once it has ended, when it was last worked on",
    ),
    Column("lease_by", Text, comment="the process that works on the run"),
    Column("expected", BigInt, comment="number of objects, as far as Intercom reported it"),
    Column("seen", BigInt, nullable=False, server_default=text("0"), comment="number of objects read so far"),
    Column("error", Text, comment="the last error; a sentence without personal data"),
    Column("detail", Json, nullable=False),
    sqlite_autoincrement=True,
)
Index(None, sync_runs.c.workspace_id, sync_runs.c.id)
# One open run of each kind and workspace: two concurrent requests get the same run.
_OPEN = sync_runs.c.state.in_(("queued", "running")) & sync_runs.c.kind.in_(("backfill", "reconcile"))
Index(
    "ix_sync_runs_open",
    sync_runs.c.workspace_id,
    sync_runs.c.kind,
    unique=True,
    postgresql_where=_OPEN,
    sqlite_where=_OPEN,
)

sync_parts = Table(
    "sync_parts",
    metadata,
    Column("run_id", BigInt, primary_key=True),
    Column(
        "part", Text, primary_key=True, comment="what the part reads, e.g. contacts/19000-19030: created on those days"
    ),
    Column("stage", Integer, nullable=False, comment="parts of a later stage wait for all parts of earlier stages"),
    Column("state", Text, nullable=False, comment="open, done or refused"),
    Column("cursor", Json, comment="where to continue; null: at the beginning"),
    Column("expected", BigInt),
    Column("seen", BigInt, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="failures since the last page"),
    Column("retry_at", UtcDateTime, comment="not retried before this time; set after a failure"),
    Column("error", Text),
)

sync_seen = Table(
    "sync_seen",
    metadata,
    Column("run_id", BigInt, primary_key=True),
    Column("kind", Text, primary_key=True, comment="contact, company, tag, segment; or the part that read it"),
    Column("object_id", Text, primary_key=True),
)
