"""The tables of long jobs: each run, the parts it is made of, and what a complete walk has seen so far."""

from sqlalchemy import Column, Index, Integer, Table, Text, text

from models.tables.column_types import Json, Sequence, UtcDateTime, Whole
from models.tables.public_tables import metadata

sync_runs = Table(
    "sync_runs",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("workspace_id", Text, nullable=False),
    Column("kind", Text, nullable=False, comment="backfill, reconcile or verify"),
    Column("state", Text, nullable=False, comment="queued, running, done, failed or waiting (for a person)"),
    Column("asked_by", Text, nullable=False, comment="connect, schedule or command"),
    Column("asked_at", UtcDateTime, nullable=False),
    Column("started_at", UtcDateTime),
    Column("ended_at", UtcDateTime),
    Column("lease_until", UtcDateTime, comment="nobody else may work on it before; then, when it was last worked on"),
    Column("lease_by", Text, comment="the process that works on it"),
    Column("expected", Whole, comment="objects there are, as far as Intercom said"),
    Column("seen", Whole, nullable=False, server_default=text("0"), comment="objects read so far"),
    Column("error", Text, comment="what went wrong last; a sentence without personal data"),
    Column("detail", Json, nullable=False),
    sqlite_autoincrement=True,
)
Index(None, sync_runs.c.workspace_id, sync_runs.c.id)
# One open run of a kind: two that ask at the same time ask for the same one.
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
    Column("run_id", Whole, primary_key=True),
    Column("part", Text, primary_key=True, comment="what is read, e.g. contacts/19000-19030: created on those days"),
    Column("stage", Integer, nullable=False, comment="parts of a later stage wait for those of an earlier one"),
    Column("state", Text, nullable=False, comment="open, done or refused"),
    Column("cursor", Json, comment="where to go on; null: at the beginning"),
    Column("expected", Whole),
    Column("seen", Whole, nullable=False, server_default=text("0")),
    Column("attempts", Integer, nullable=False, server_default=text("0"), comment="failures since the last page"),
    Column("retry_at", UtcDateTime, comment="not to be tried before; set after a failure"),
    Column("error", Text),
)

sync_seen = Table(
    "sync_seen",
    metadata,
    Column("run_id", Whole, primary_key=True),
    Column("kind", Text, primary_key=True, comment="contact, company, tag, segment; or the part that saw it"),
    Column("object_id", Text, primary_key=True),
)
