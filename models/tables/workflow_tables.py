"""The tables of workflows: the files as they were read, runs, the steps of each run, and what the steps changed."""

from sqlalchemy import Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, text

from models.tables.column_types import BigInt, Json, Sequence, UtcDateTime
from models.tables.public_tables import metadata

workflow_files = Table(
    "workflow_files",
    metadata,
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False, comment="SHA-256 of the current text"),
    Column("since_seq", BigInt, nullable=False, comment="changes up to this seq start no run of the workflow"),
    Column("seen_at", UtcDateTime, nullable=False),
)

workflow_sources = Table(
    "workflow_sources",
    metadata,
    Column("digest", Text, primary_key=True, comment="SHA-256 of the text"),
    Column(
        "text",
        Text,
        nullable=False,
        comment="the file's text; a run follows its text to the end, even if the file changes",
    ),
)

workflow_runs = Table(
    "workflow_runs",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("workflow", Text, nullable=False),
    Column("digest", Text, nullable=False, comment="SHA-256 of the text that the run follows"),
    Column("workspace_id", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("change_seq", BigInt, nullable=False, comment="the change that started the run"),
    Column("copy", Integer, nullable=False, server_default=text("0"), comment="number of times the run was restarted"),
    Column(
        "state",
        Text,
        nullable=False,
        comment="held, queued, done, stopped, failed, unknown or ignored (its own change)",
    ),
    Column("position", Integer, nullable=False, server_default=text("0"), comment="number of the current step"),
    Column("due_at", UtcDateTime, nullable=False, comment="not executed before this time"),
    Column("lease_by", Text, comment="the process that works on the run"),
    Column("lease_until", UtcDateTime, comment="no other process may work on the run before"),
    Column(
        "replays",
        Integer,
        nullable=False,
        server_default=text("0"),
        comment="number of times an operator resumed the run",
    ),
    Column("change", Json, nullable=False),
    Column("record", Json, nullable=False, comment="the object as it was when the run started"),
    Column("error", Text, comment="why the run ended; a sentence without personal data"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
    UniqueConstraint("workflow", "change_seq", "copy", name="uq_workflow_runs_change"),
    sqlite_autoincrement=True,
)
_OPEN = workflow_runs.c.state.in_(("queued", "held"))
Index("ix_workflow_runs_open", workflow_runs.c.due_at, workflow_runs.c.id, postgresql_where=_OPEN, sqlite_where=_OPEN)
Index(None, workflow_runs.c.ended_at)

workflow_steps = Table(
    "workflow_steps",
    metadata,
    Column("run_id", BigInt, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("step", Text, nullable=False, comment="id of the step in the file"),
    Column("kind", Text, nullable=False, comment="action, request, http, condition or wait"),
    Column("state", Text, nullable=False, comment="started, waiting, retry, done, skipped, failed or unknown"),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, comment="when a wait ends, or when the next attempt may start"),
    Column("input", Json, comment="the rendered input; values of settings are replaced by their names"),
    Column("output", Json),
    Column("error", Text, comment="a sentence without personal data"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
)

workflow_effects = Table(
    "workflow_effects",
    metadata,
    Column("run_id", BigInt, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("number", Integer, primary_key=True, comment="0 for the first object, counting up"),
    Column("workflow", Text, nullable=False),
    Column("workspace_id", Text, nullable=False),
    Column("object_type", Text, comment="null: not known yet"),
    Column("object_id", Text, comment="null: not known yet"),
    Column("version", BigInt, comment="updated_at in the response, unix seconds"),
    Column("is_message", Boolean, nullable=False, comment="the step sent a message, which changes last_contacted_at"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, comment="null: in progress or interrupted"),
)
Index(None, workflow_effects.c.workflow, workflow_effects.c.workspace_id, workflow_effects.c.object_id)
