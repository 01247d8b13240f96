"""Workflows have tables: their files, runs, steps, and what the steps changed."""

import sqlalchemy as sa
from alembic import op

from models.tables import column_types

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_OPEN = sa.text("state IN ('queued', 'held')")


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    op.create_table(
        "workflow_files",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="of the text that is in force"),
        sa.Column(
            "since_seq", sa.BigInteger(), nullable=False, comment="lines of the feed up to here start no run of it"
        ),
        sa.Column("seen_at", column_types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_workflow_files"),
    )
    op.create_table(
        "workflow_sources",
        sa.Column("digest", sa.Text(), nullable=False, comment="SHA-256 of the text"),
        sa.Column("text", sa.Text(), nullable=False, comment="runs end as they began, whatever becomes of the file"),
        sa.PrimaryKeyConstraint("digest", name="pk_workflow_sources"),
    )
    _make_runs()
    _make_steps()


def _make_runs() -> None:
    op.create_table(
        "workflow_runs",
        sa.Column("id", column_types.Sequence, autoincrement=True, nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False, comment="of the text that it follows"),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("change_seq", sa.BigInteger(), nullable=False, comment="the line of the feed that started it"),
        sa.Column("copy", sa.Integer(), server_default=sa.text("0"), nullable=False,
                  comment="counts the times it was begun anew"),
        sa.Column("state", sa.Text(), nullable=False,
                  comment="held, queued, done, stopped, failed, unknown or ignored (its own doing)"),
        sa.Column("position", sa.Integer(), server_default=sa.text("0"), nullable=False,
                  comment="number of the step it is at"),
        sa.Column("due_at", column_types.UtcDateTime(), nullable=False, comment="nothing is to be done before"),
        sa.Column("lease_by", sa.Text(), nullable=True, comment="the process that works on it"),
        sa.Column("lease_until", column_types.UtcDateTime(), nullable=True, comment="nobody else may work on it before"),  # noqa: E501 -- a migration keeps its text
        sa.Column("replays", sa.Integer(), server_default=sa.text("0"), nullable=False,
                  comment="times a person let it go on"),
        sa.Column("change", column_types.Json, nullable=False),
        sa.Column("record", column_types.Json, nullable=False, comment="the object as it was when the run was started"),
        sa.Column("error", sa.Text(), nullable=True, comment="what ended it; a sentence without personal data"),
        sa.Column("started_at", column_types.UtcDateTime(), nullable=False),
        sa.Column("ended_at", column_types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_workflow_runs"),
        sa.UniqueConstraint("workflow", "change_seq", "copy", name="uq_workflow_runs_change"),
        sqlite_autoincrement=True,
    )  # fmt: skip
    op.create_index(
        "ix_workflow_runs_open", "workflow_runs", ["due_at", "id"], postgresql_where=_OPEN, sqlite_where=_OPEN
    )
    op.create_index("ix_workflow_runs_ended_at", "workflow_runs", ["ended_at"])


def _make_steps() -> None:
    op.create_table(
        "workflow_steps",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("step", sa.Text(), nullable=False, comment="its id in the file"),
        sa.Column("kind", sa.Text(), nullable=False, comment="action, request, http, condition or wait"),
        sa.Column("state", sa.Text(), nullable=False,
                  comment="started, waiting, retry, done, skipped, failed or unknown"),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("due_at", column_types.UtcDateTime(), nullable=True,
                  comment="when a wait ends, or the next try may begin"),
        sa.Column("input", column_types.Json, nullable=True,
                  comment="as it was filled in; settings' values are replaced by their names"),
        sa.Column("output", column_types.Json, nullable=True),
        sa.Column("error", sa.Text(), nullable=True, comment="a sentence without personal data"),
        sa.Column("started_at", column_types.UtcDateTime(), nullable=False),
        sa.Column("ended_at", column_types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "position", name="pk_workflow_steps"),
    )  # fmt: skip
    op.create_table(
        "workflow_effects",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False, comment="0, and one more for each further object"),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=True, comment="null: not known yet"),
        sa.Column("object_id", sa.Text(), nullable=True, comment="null: not known yet"),
        sa.Column("version", sa.BigInteger(), nullable=True,
                  comment="updated_at that the answer told, unix seconds"),
        sa.Column("is_message", sa.Boolean(), nullable=False,
                  comment="a message, which moves when a contact was last contacted"),
        sa.Column("started_at", column_types.UtcDateTime(), nullable=False),
        sa.Column("ended_at", column_types.UtcDateTime(), nullable=True, comment="null: under way, or broken off"),
        sa.PrimaryKeyConstraint("run_id", "position", "number", name="pk_workflow_effects"),
    )  # fmt: skip
    op.create_index(
        "ix_workflow_effects_workflow_workspace_id_object_id",
        "workflow_effects",
        ["workflow", "workspace_id", "object_id"],
    )


def downgrade() -> None:
    """Bring the tables back to the revision before."""
    for table in ("effects", "steps", "runs", "sources", "files"):
        op.drop_table(f"workflow_{table}")
