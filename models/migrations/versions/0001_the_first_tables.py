"""The first tables."""

import sqlalchemy as sa
from alembic import op

from models.tables import column_types

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Bring the tables from the revision before to this one."""
    op.create_table(
        "changes",
        sa.Column("seq", column_types.Sequence, autoincrement=True, nullable=False),
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("op", sa.Text(), nullable=False),
        sa.Column("related_type", sa.Text(), nullable=True),
        sa.Column("related_id", sa.Text(), nullable=True),
        sa.Column(
            "changed_fields",
            column_types.Json,
            nullable=False,
            comment="sorted names of the fields that changed",
        ),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("notification_id", sa.Text(), nullable=True),
        sa.Column("at", column_types.UtcDateTime(), server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.PrimaryKeyConstraint("seq", name="pk_changes"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_changes_at", "changes", ["at"])
    op.create_index("ix_changes_workspace_id_seq", "changes", ["workspace_id", "seq"])
    op.create_table(
        "companies",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("plan_id", sa.Text(), nullable=True),
        sa.Column("plan_name", sa.Text(), nullable=True),
        sa.Column("remote_created_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("created_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("updated_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("last_request_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("size", sa.BigInteger(), nullable=True),
        sa.Column("website", sa.Text(), nullable=True),
        sa.Column("industry", sa.Text(), nullable=True),
        sa.Column("monthly_spend", sa.BigInteger(), nullable=True),
        sa.Column("session_count", sa.BigInteger(), nullable=True),
        sa.Column("user_count", sa.BigInteger(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("custom_attributes", column_types.Json, nullable=False),
        sa.Column("_tags_complete", sa.Boolean(), nullable=False),
        sa.Column(
            "_raw",
            column_types.Json,
            nullable=False,
            comment="the canonical object, without lists that have tables",
        ),
        sa.Column(
            "_source",
            sa.Text(),
            nullable=False,
            comment="what told us last: webhook, backfill, refetch, ...",
        ),
        sa.Column(
            "_version",
            sa.BigInteger(),
            nullable=False,
            comment="updated_at in unix seconds; negative: known in part only",
        ),
        sa.Column("_synced_at", column_types.UtcDateTime(), nullable=False, comment="when we last wrote this row"),
        sa.Column(
            "_verified_at",
            column_types.UtcDateTime(),
            nullable=True,
            comment="Intercom's time at which a GET by id last found it",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_companies"),
    )
    op.create_index("ix_companies_workspace_id_company_id", "companies", ["workspace_id", "company_id"])
    op.create_index("ix_companies_workspace_id_updated_at", "companies", ["workspace_id", "updated_at"])
    op.create_table(
        "company_segments",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("segment_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "company_id", "segment_id", name="pk_company_segments"),
    )
    op.create_index("ix_company_segments_segment_id_workspace_id", "company_segments", ["segment_id", "workspace_id"])
    op.create_table(
        "company_tags",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.Column("tag_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "company_id", "tag_id", name="pk_company_tags"),
    )
    op.create_index("ix_company_tags_tag_id_workspace_id", "company_tags", ["tag_id", "workspace_id"])
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
    op.create_table(
        "contact_companies",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.Column("company_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "contact_id", "company_id", name="pk_contact_companies"),
    )
    op.create_index("ix_contact_companies_company_id_workspace_id", "contact_companies", ["company_id", "workspace_id"])
    op.create_table(
        "contact_merges",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("from_id", sa.Text(), nullable=False),
        sa.Column("into_id", sa.Text(), nullable=False),
        sa.Column("merged_at", column_types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "from_id", name="pk_contact_merges"),
    )
    op.create_index("ix_contact_merges_workspace_id_into_id", "contact_merges", ["workspace_id", "into_id"])
    op.create_table(
        "contact_segments",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.Column("segment_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "contact_id", "segment_id", name="pk_contact_segments"),
    )
    op.create_index("ix_contact_segments_segment_id_workspace_id", "contact_segments", ["segment_id", "workspace_id"])
    op.create_table(
        "contact_tags",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("contact_id", sa.Text(), nullable=False),
        sa.Column("tag_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "contact_id", "tag_id", name="pk_contact_tags"),
    )
    op.create_index("ix_contact_tags_tag_id_workspace_id", "contact_tags", ["tag_id", "workspace_id"])
    op.create_table(
        "contacts",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("external_id", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("email_domain", sa.Text(), nullable=True),
        sa.Column("role", sa.Text(), nullable=True),
        sa.Column("phone", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("owner_id", sa.Text(), nullable=True),
        sa.Column("avatar_image_url", sa.Text(), nullable=True),
        sa.Column("has_hard_bounced", sa.Boolean(), nullable=True),
        sa.Column("marked_email_as_spam", sa.Boolean(), nullable=True),
        sa.Column("unsubscribed_from_emails", sa.Boolean(), nullable=True),
        sa.Column("created_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("updated_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("signed_up_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("last_seen_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("last_replied_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("last_contacted_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("last_email_opened_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("last_email_clicked_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("language_override", sa.Text(), nullable=True),
        sa.Column("browser", sa.Text(), nullable=True),
        sa.Column("browser_version", sa.Text(), nullable=True),
        sa.Column("browser_language", sa.Text(), nullable=True),
        sa.Column("os", sa.Text(), nullable=True),
        sa.Column("location_country", sa.Text(), nullable=True),
        sa.Column("location_region", sa.Text(), nullable=True),
        sa.Column("location_city", sa.Text(), nullable=True),
        sa.Column("location_country_code", sa.Text(), nullable=True),
        sa.Column("location_continent_code", sa.Text(), nullable=True),
        sa.Column("android_app_name", sa.Text(), nullable=True),
        sa.Column("android_app_version", sa.Text(), nullable=True),
        sa.Column("android_device", sa.Text(), nullable=True),
        sa.Column("android_os_version", sa.Text(), nullable=True),
        sa.Column("android_sdk_version", sa.Text(), nullable=True),
        sa.Column("android_last_seen_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("ios_app_name", sa.Text(), nullable=True),
        sa.Column("ios_app_version", sa.Text(), nullable=True),
        sa.Column("ios_device", sa.Text(), nullable=True),
        sa.Column("ios_os_version", sa.Text(), nullable=True),
        sa.Column("ios_sdk_version", sa.Text(), nullable=True),
        sa.Column("ios_last_seen_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("utm_campaign", sa.Text(), nullable=True),
        sa.Column("utm_content", sa.Text(), nullable=True),
        sa.Column("utm_medium", sa.Text(), nullable=True),
        sa.Column("utm_source", sa.Text(), nullable=True),
        sa.Column("utm_term", sa.Text(), nullable=True),
        sa.Column("referrer", sa.Text(), nullable=True),
        sa.Column("sms_consent", sa.Boolean(), nullable=True),
        sa.Column("unsubscribed_from_sms", sa.Boolean(), nullable=True),
        sa.Column("enabled_push_messaging", sa.Boolean(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=False),
        sa.Column("custom_attributes", column_types.Json, nullable=False),
        sa.Column("_companies_complete", sa.Boolean(), nullable=False),
        sa.Column("_tags_complete", sa.Boolean(), nullable=False),
        sa.Column(
            "_raw",
            column_types.Json,
            nullable=False,
            comment="the canonical object, without lists that have tables",
        ),
        sa.Column(
            "_source",
            sa.Text(),
            nullable=False,
            comment="what told us last: webhook, backfill, refetch, ...",
        ),
        sa.Column(
            "_version",
            sa.BigInteger(),
            nullable=False,
            comment="updated_at in unix seconds; negative: known in part only",
        ),
        sa.Column("_synced_at", column_types.UtcDateTime(), nullable=False, comment="when we last wrote this row"),
        sa.Column(
            "_verified_at",
            column_types.UtcDateTime(),
            nullable=True,
            comment="Intercom's time at which a GET by id last found it",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_contacts"),
    )
    op.create_index("ix_contacts_email", "contacts", ["workspace_id", sa.text("lower(email)")])
    op.create_index("ix_contacts_workspace_id_external_id", "contacts", ["workspace_id", "external_id"])
    op.create_index("ix_contacts_workspace_id_updated_at", "contacts", ["workspace_id", "updated_at"])
    op.create_table(
        "data_attributes",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False, comment="contact or company"),
        sa.Column(
            "full_name", sa.Text(), nullable=False, comment="path.name; standard attributes have no id in Intercom"
        ),
        sa.Column("id", sa.Text(), nullable=True),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("label", sa.Text(), nullable=True),
        sa.Column("description", sa.Text(), nullable=True),
        sa.Column("data_type", sa.Text(), nullable=True),
        sa.Column("custom", sa.Boolean(), nullable=True),
        sa.Column("archived", sa.Boolean(), nullable=True),
        sa.Column("_raw", column_types.Json, nullable=False),
        sa.Column("_synced_at", column_types.UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("workspace_id", "model", "full_name", name="pk_data_attributes"),
    )
    op.create_table(
        "link_states",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False, comment="the name of the link table"),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("other_id", sa.Text(), nullable=False),
        sa.Column("present", sa.Boolean(), nullable=False),
        sa.Column("stamp", sa.Text(), nullable=False, comment="JSON, see models.rule.observations.Stamp"),
        sa.PrimaryKeyConstraint("workspace_id", "kind", "owner_id", "other_id", name="pk_link_states"),
    )
    op.create_index("ix_link_states_other_id_kind_workspace_id", "link_states", ["other_id", "kind", "workspace_id"])
    op.create_table(
        "notifications",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("topic", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("created_at", column_types.UtcDateTime(), nullable=False, comment="the envelope's"),
        sa.Column("received_at", column_types.UtcDateTime(), nullable=False),
        sa.Column("applied_at", column_types.UtcDateTime(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=False, comment="applied or stale"),
        sa.Column("entry", sa.Text(), nullable=False, comment="id in the inbox, as in the logs"),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_notifications"),
    )
    op.create_index("ix_notifications_applied_at", "notifications", ["applied_at"])
    op.create_table(
        "object_states",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text(), nullable=False),
        sa.Column("gone", sa.Boolean(), nullable=False, comment="a tombstone: deleted or merged"),
        sa.Column("dirty", sa.BigInteger(), nullable=False, comment="doubts counted so far"),
        sa.Column("clean", sa.BigInteger(), nullable=False, comment="how many of them a refetch has answered"),
        sa.Column(
            "refetch_after",
            column_types.UtcDateTime(),
            nullable=True,
            comment="not to be asked for before; set when a refetch failed",
        ),
        sa.Column("refetch_attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column(
            "registers", sa.Text(), nullable=False, comment="JSON: versions and stamps, see models.rule.state.Registers"
        ),
        sa.PrimaryKeyConstraint("workspace_id", "object_type", "object_id", name="pk_object_states"),
        postgresql_with={"fillfactor": 80},
    )
    op.create_index(
        "ix_object_states_dirty",
        "object_states",
        ["workspace_id"],
        unique=False,
        postgresql_where=sa.text("dirty > clean"),
        sqlite_where=sa.text("dirty > clean"),
    )
    op.create_table(
        "parked",
        sa.Column("id", column_types.Sequence, autoincrement=True, nullable=False),
        sa.Column("entry", sa.Text(), nullable=False, comment="id in the inbox, as in the logs"),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("traceback", sa.Text(), nullable=False),
        sa.Column("deaths", sa.Integer(), nullable=False, comment="processes that died with it in hand"),
        sa.Column("received_at", column_types.UtcDateTime(), nullable=False),
        sa.Column("parked_at", column_types.UtcDateTime(), nullable=False),
        sa.Column("replayed_at", column_types.UtcDateTime(), nullable=True),
        sa.PrimaryKeyConstraint("id", name="pk_parked"),
        sa.UniqueConstraint("entry"),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "segments",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("person_type", sa.Text(), nullable=True),
        sa.Column("created_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("updated_at", column_types.UtcDateTime(), nullable=True),
        sa.Column(
            "_raw",
            column_types.Json,
            nullable=False,
            comment="the canonical object, without lists that have tables",
        ),
        sa.Column(
            "_source",
            sa.Text(),
            nullable=False,
            comment="what told us last: webhook, backfill, refetch, ...",
        ),
        sa.Column(
            "_version",
            sa.BigInteger(),
            nullable=False,
            comment="updated_at in unix seconds; negative: known in part only",
        ),
        sa.Column("_synced_at", column_types.UtcDateTime(), nullable=False, comment="when we last wrote this row"),
        sa.Column(
            "_verified_at",
            column_types.UtcDateTime(),
            nullable=True,
            comment="Intercom's time at which a GET by id last found it",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_segments"),
    )
    op.create_table(
        "sync_marks",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("object_type", sa.Text(), nullable=False),
        sa.Column("last_notification_at", column_types.UtcDateTime(), nullable=True),
        sa.Column(
            "lag_seconds", sa.Float(), nullable=True, comment="from the receipt of the last notification to its commit"
        ),
        sa.Column("last_backfill_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("last_reconcile_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("last_verify_at", column_types.UtcDateTime(), nullable=True),
        sa.Column("last_verify_result", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("workspace_id", "object_type", name="pk_sync_marks"),
    )
    op.create_table(
        "tags",
        sa.Column("workspace_id", sa.Text(), nullable=False),
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column(
            "_raw",
            column_types.Json,
            nullable=False,
            comment="the canonical object, without lists that have tables",
        ),
        sa.Column(
            "_source",
            sa.Text(),
            nullable=False,
            comment="what told us last: webhook, backfill, refetch, ...",
        ),
        sa.Column(
            "_version",
            sa.BigInteger(),
            nullable=False,
            comment="updated_at in unix seconds; negative: known in part only",
        ),
        sa.Column("_synced_at", column_types.UtcDateTime(), nullable=False, comment="when we last wrote this row"),
        sa.Column(
            "_verified_at",
            column_types.UtcDateTime(),
            nullable=True,
            comment="Intercom's time at which a GET by id last found it",
        ),
        sa.PrimaryKeyConstraint("workspace_id", "id", name="pk_tags"),
    )
    if op.get_bind().dialect.name == "postgresql":
        for table in ("contacts", "companies"):
            op.create_index(
                f"ix_{table}_custom_attributes",
                table,
                ["custom_attributes"],
                postgresql_using="gin",
                postgresql_ops={"custom_attributes": "jsonb_path_ops"},
            )


def downgrade() -> None:
    """Drop everything."""
    for table in (
        "changes",
        "companies",
        "company_segments",
        "company_tags",
        "connections",
        "contact_companies",
        "contact_merges",
        "contact_segments",
        "contact_tags",
        "contacts",
        "data_attributes",
        "link_states",
        "notifications",
        "object_states",
        "parked",
        "segments",
        "sync_marks",
        "tags",
    ):
        op.drop_table(table)
