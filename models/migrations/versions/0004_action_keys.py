"""Actions have a table: what each idempotency key was answered."""

import sqlalchemy as sa
from alembic import op

from models.tables import column_types

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    op.create_table(
        "action_keys",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("owner", sa.Text(), nullable=False, comment="who gave the key: user:ID, operator or workflow"),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column(
            "digest",
            sa.Text(),
            nullable=False,
            comment="SHA-256 of the input; the same key with another one is a mistake",
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="reserved, sending, done, failed or unknown"),
        sa.Column("began_at", column_types.UtcDateTime(), nullable=False),
        sa.Column(
            "lease_until", column_types.UtcDateTime(), nullable=False, comment="until then a process is at work on it"
        ),
        sa.Column("ended_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("outcome", column_types.Json, nullable=True, comment="what was answered; null while it is not known"),
        sa.PrimaryKeyConstraint("workspace_id", "owner", "key", name="pk_action_keys"),
    )
    op.create_index("ix_action_keys_ended_at", "action_keys", ["ended_at"])


def downgrade() -> None:
    """Bring the tables back to the revision before."""
    op.drop_table("action_keys")
