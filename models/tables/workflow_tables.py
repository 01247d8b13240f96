"""The tables of workflows: the files as they were read, runs, the steps of each, and what the steps changed."""

from sqlalchemy import Boolean, Column, Index, Integer, Table, Text, UniqueConstraint, text

from models.tables.column_types import Json, Sequence, UtcDateTime, Whole
from models.tables.public_tables import metadata

workflow_files = Table(
    "workflow_files",
    metadata,
    Column("name", Text, primary_key=True),
    Column("digest", Text, nullable=False, comment="of the text that is in force"),
    Column("since_seq", Whole, nullable=False, comment="lines of the feed up to here start no run of it"),
    Column("seen_at", UtcDateTime, nullable=False),
)

workflow_sources = Table(
    "workflow_sources",
    metadata,
    Column("digest", Text, primary_key=True, comment="SHA-256 of the text"),
    Column("text", Text, nullable=False, comment="runs end as they began, whatever becomes of the file"),
)

workflow_runs = Table(
    "workflow_runs",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("workflow", Text, nullable=False),
    Column("digest", Text, nullable=False, comment="of the text that it follows"),
    Column("workspace_id", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("change_seq", Whole, nullable=False, comment="the line of the feed that started it"),
    Column("copy", Integer, nullable=False, server_default=text("0"), comment="counts the times it was begun anew"),
    Column(
        "state", Text, nullable=False, comment="held, queued, done, stopped, failed, unknown or ignored (its own doing)"
    ),
    Column("position", Integer, nullable=False, server_default=text("0"), comment="number of the step it is at"),
    Column("due_at", UtcDateTime, nullable=False, comment="nothing is to be done before"),
    Column("lease_by", Text, comment="the process that works on it"),
    Column("lease_until", UtcDateTime, comment="nobody else may work on it before"),
    Column("replays", Integer, nullable=False, server_default=text("0"), comment="times a person let it go on"),
    Column("change", Json, nullable=False),
    Column("record", Json, nullable=False, comment="the object as it was when the run was started"),
    Column("error", Text, comment="what ended it; a sentence without personal data"),
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
    Column("run_id", Whole, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("step", Text, nullable=False, comment="its id in the file"),
    Column("kind", Text, nullable=False, comment="action, request, http, condition or wait"),
    Column("state", Text, nullable=False, comment="started, waiting, retry, done, skipped, failed or unknown"),
    Column("attempts", Integer, nullable=False),
    Column("due_at", UtcDateTime, comment="when a wait ends, or the next try may begin"),
    Column("input", Json, comment="as it was filled in; settings' values are replaced by their names"),
    Column("output", Json),
    Column("error", Text, comment="a sentence without personal data"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime),
)

workflow_effects = Table(
    "workflow_effects",
    metadata,
    Column("run_id", Whole, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("number", Integer, primary_key=True, comment="0, and one more for each further object"),
    Column("workflow", Text, nullable=False),
    Column("workspace_id", Text, nullable=False),
    Column("object_type", Text, comment="null: not known yet"),
    Column("object_id", Text, comment="null: not known yet"),
    Column("version", Whole, comment="updated_at that the answer told, unix seconds"),
    Column("is_message", Boolean, nullable=False, comment="a message, which moves when a contact was last contacted"),
    Column("started_at", UtcDateTime, nullable=False),
    Column("ended_at", UtcDateTime, comment="null: under way, or broken off"),
)
Index(None, workflow_effects.c.workflow, workflow_effects.c.workspace_id, workflow_effects.c.object_id)
