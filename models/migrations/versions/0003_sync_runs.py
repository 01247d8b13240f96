"""Long jobs have tables: their runs, the parts of each, and what it has seen so far."""

import sqlalchemy as sa
from alembic import op

from models.tables import column_types

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_OPEN = sa.text("state IN ('queued', 'running') AND kind IN ('backfill', 'reconcile')")


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    op.create_table(
        "sync_runs",
        sa.Column("id", column_types.Sequence, autoincrement=True, nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="backfill, reconcile or verify"),
        sa.Column(
            "state", sa.Text(), nullable=False, comment="queued, running, done, failed or waiting (for a person)"
        ),
        sa.Column("asked_by", sa.Text(), nullable=False, comment="connect, schedule or command"),
        sa.Column("asked_at", column_types.UtcDateTime(), nullable=False),
        sa.Column("started_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("ended_at", column_types.UtcDateTime(), nullable=True),
        sa.Column(
            "lease_until",
            column_types.UtcDateTime(),
            nullable=True,
            comment="nobody else may work on it before; then, when it was last worked on",
        ),
        sa.Column("lease_by", sa.Text(), nullable=True, comment="the process that works on it"),
        sa.Column("expected", sa.BigInteger(), nullable=True, comment="objects there are, as far as Intercom said"),
        sa.Column("seen", sa.BigInteger(), server_default=sa.text("0"), nullable=False, comment="objects read so far"),
        sa.Column("error", sa.Text(), nullable=True, comment="what went wrong last; a sentence without personal data"),
        sa.Column("detail", column_types.Json, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_sync_runs"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_sync_runs_workspace_id_id", "sync_runs", ["workspace_id", "id"])
    op.create_index(
        "ix_sync_runs_open", "sync_runs", ["workspace_id", "kind"], unique=True,
        postgresql_where=_OPEN, sqlite_where=_OPEN,
    )  # fmt: skip
    op.create_table(
        "sync_parts",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column(
            "part",
            sa.Text(),
            nullable=False,
            comment="what is read, e.g. contacts/19000-19030: created on those days",
        ),
        sa.Column(
            "stage", sa.Integer(), nullable=False, comment="parts of a later stage wait for those of an earlier one"
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="open, done or refused"),
        sa.Column("cursor", column_types.Json, nullable=True, comment="where to go on; null: at the beginning"),
        sa.Column("expected", sa.BigInteger(), nullable=True),
        sa.Column("seen", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "attempts",
            sa.Integer(),
            server_default=sa.text("0"),
            nullable=False,
            comment="failures since the last page",
        ),
        sa.Column(
            "retry_at", column_types.UtcDateTime(), nullable=True, comment="not to be tried before; set after a failure"
        ),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("run_id", "part", name="pk_sync_parts"),
    )
    op.create_table(
        "sync_seen",
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="contact, company, tag, segment; or the part that saw it"),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("run_id", "kind", "object_id", name="pk_sync_seen"),
    )


def downgrade() -> None:
    """Bring the tables back to the revision before."""
    op.drop_table("sync_seen")
    op.drop_table("sync_parts")
    op.drop_table("sync_runs")
