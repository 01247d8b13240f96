"""Connections have a reason to end, and workspaces have a row of their own."""

import sqlalchemy as sa
from alembic import op

from models.tables import column_types

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    # Nothing could connect before, so the table is empty.
    op.drop_table("connections")
    op.create_table(
        "connections",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("app", sa.Text(), nullable=False, comment="client id of the app that the token belongs to"),
        sa.Column("admin_id", sa.Text(), nullable=True, comment="Intercom's id of the teammate who allowed it"),
        sa.Column("status", sa.Text(), nullable=False, comment="connected or disconnected"),
        sa.Column("token", sa.LargeBinary(), nullable=True, comment="encrypted; null once disconnected"),
        sa.Column(
            "fingerprint",
            sa.Text(),
            nullable=True,
            comment="SHA-256 of the token, which tells it from a newer one; stays",
        ),
        sa.Column("connected_at", column_types.UtcDateTime(), nullable=False),
        sa.Column("disconnected_at", column_types.UtcDateTime(), nullable=True),
        sa.Column(
            "reason",
            sa.Text(),
            nullable=True,
            comment="why it is disconnected: user, uninstalled, or Intercom's error code",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "user_id", name="pk_connections"),
    )
    op.create_index("ix_connections_user_id", "connections", ["user_id"])
    op.create_table(
        "workspaces",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("region", sa.Text(), nullable=True, comment="US, EU or AU"),
        sa.Column(
            "timezone",
            sa.Text(),
            nullable=True,
            comment="as Intercom names it; its days are the grain of some searches",
        ),
        sa.Column(
            "frozen_at",
            column_types.UtcDateTime(),
            nullable=True,
            comment="since when nobody is connected; null while somebody is",
        ),
        sa.Column("frozen_because", sa.Text(), nullable=True, comment="the reason of the connection that ended last"),
        sa.PrimaryKeyConstraint("workspace_id", name="pk_workspaces"),
    )


def downgrade() -> None:
    """Bring the tables back to the revision before."""
    for view in ("connected_users", "sync_status"):
        op.execute(f"DROP VIEW IF EXISTS {view}")
    op.drop_table("workspaces")
    op.drop_table("connections")
    op.create_table(
        "connections",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column("region", sa.Text(), nullable=True),
        sa.Column("status", sa.Text(), nullable=False, comment="connected or disconnected"),
        sa.Column("token", sa.LargeBinary(), nullable=True, comment="encrypted"),
        sa.Column("connected_at", column_types.UtcDateTime(), nullable=False),
        sa.Column(
            "frozen_at",
            column_types.UtcDateTime(),
            nullable=True,
            comment="since when the workspace's rows stand still",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "user_id", name="pk_connections"),
    )
