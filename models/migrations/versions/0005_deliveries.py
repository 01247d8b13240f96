"""Outgoing webhooks have tables: the endpoints, what each is told, and how far every consumer of the feed is."""

import sqlalchemy as sa
from alembic import op

from models.tables import column_types

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_WAITING = sa.text("state = 'waiting'")


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    op.create_table(
        "feed_cursors",
        sa.Column("name", sa.Text(), nullable=False, comment="of a consumer; `pruned` is where the feed begins"),
        sa.Column("seq", sa.BigInteger(), nullable=False, comment="the last line that needs not be looked at again"),
        sa.Column("moved_at", column_types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name", name="pk_feed_cursors"),
    )
    _create_endpoints()
    _create_deliveries()


def _create_endpoints() -> None:
    op.create_table(
        "endpoints",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column(
            "user_id", sa.Text(), nullable=True, comment="whose workspaces it hears of; null: the operator's, of all"
        ),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False, comment="encrypted"),
        sa.Column(
            "old_secret",
            sa.LargeBinary(),
            nullable=True,
            comment="encrypted; signs as well while the new one is being rolled out",
        ),
        sa.Column("old_until", column_types.UtcDateTime(), nullable=True),
        sa.Column("types", column_types.Json, nullable=False, comment="types of objects; an empty list: all"),
        sa.Column("ops", column_types.Json, nullable=False, comment="operations; an empty list: all"),
        sa.Column("sources", column_types.Json, nullable=False, comment="sources; an empty list: all"),
        sa.Column("status", sa.Text(), nullable=False, comment="enabled or disabled"),
        sa.Column("reason", sa.Text(), nullable=True, comment="why it is disabled; a sentence without personal data"),
        sa.Column(
            "seq", sa.BigInteger(), nullable=False, comment="the last line of the feed that was looked at for it"
        ),
        sa.Column("failures", sa.Integer(), server_default=sa.text("0"), nullable=False, comment="in a row"),
        sa.Column("failing_since", column_types.UtcDateTime(), nullable=True, comment="when the first of them was"),
        sa.Column("rest_until", column_types.UtcDateTime(), nullable=True, comment="it is not called before"),
        sa.Column("created_at", column_types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_endpoints"),
    )
    op.create_index("ix_endpoints_user_id", "endpoints", ["user_id"])


def _create_deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", column_types.Sequence, autoincrement=True, nullable=False),
        sa.Column("endpoint_id", sa.Text(), nullable=False),
        sa.Column("change_seq", sa.BigInteger(), nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column(
            "body", sa.Text(), nullable=False, comment="what is posted; ids and names of fields, no personal data"
        ),
        sa.Column("state", sa.Text(), nullable=False, comment="waiting, delivered or failed"),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("first_tried_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("due_at", column_types.UtcDateTime(), nullable=False, comment="not tried before"),
        sa.Column(
            "lease_until", column_types.UtcDateTime(), nullable=True, comment="until then a process is at work on it"
        ),
        sa.Column("status", sa.Integer(), nullable=True, comment="of the last answer"),
        sa.Column("error", sa.Text(), nullable=True, comment="of the last try; a sentence without personal data"),
        sa.Column("created_at", column_types.UtcDateTime(), nullable=False),
        sa.Column("ended_at", column_types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_deliveries"),
        sa.UniqueConstraint("endpoint_id", "change_seq", name="uq_deliveries_change"),
        sqlite_autoincrement=True,
    )
    op.create_index(
        "ix_deliveries_waiting", "deliveries", ["endpoint_id", "workspace_id", "object_type", "object_id", "id"],
        postgresql_where=_WAITING, sqlite_where=_WAITING,
    )  # fmt: skip
    op.create_index("ix_deliveries_created_at", "deliveries", ["created_at"])


def downgrade() -> None:
    """Bring the tables back to the revision before."""
    op.drop_table("deliveries")
    op.drop_table("endpoints")
    op.drop_table("feed_cursors")
