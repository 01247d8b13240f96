"""Reword the comments on columns; only PostgreSQL stores comments."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

# Table, column, comment.
_COMMENTS = (
    ("action_keys", "digest", "SHA-256 of the input; the same key with another digest is an error"),
    ("action_keys", "lease_until", "a process works on the action until then"),
    ("action_keys", "outcome", "the response; null while it is unknown"),
    ("action_keys", "owner", "owner of the key: user:ID, operator or workflow"),
    ("companies", "_raw", "canonical JSON of the object, without the lists that have link tables"),
    ("companies", "_source", "source of the last observation: webhook, backfill, refetch, ..."),
    ("companies", "_synced_at", "when the mirror last wrote this row"),
    ("companies", "_verified_at", "Intercom's time at which a GET by id last returned it"),
    ("companies", "_version", "updated_at in unix seconds; negative: only some fields are known"),
    ("connections", "admin_id", "Intercom's id of the teammate who authorised it"),
    (
        "connections",
        "fingerprint",
        "SHA-256 of the token, which distinguishes it from a newer one; kept after disconnecting",
    ),
    ("connections", "reason", "why it was disconnected: user, uninstalled, or Intercom's error code"),
    ("contacts", "_raw", "canonical JSON of the object, without the lists that have link tables"),
    ("contacts", "_source", "source of the last observation: webhook, backfill, refetch, ..."),
    ("contacts", "_synced_at", "when the mirror last wrote this row"),
    ("contacts", "_verified_at", "Intercom's time at which a GET by id last returned it"),
    ("contacts", "_version", "updated_at in unix seconds; negative: only some fields are known"),
    ("deliveries", "body", "the request body; ids and field names, no personal data"),
    ("deliveries", "due_at", "not attempted before this time"),
    ("deliveries", "error", "error of the last attempt; a sentence without personal data"),
    ("deliveries", "lease_until", "a process works on the delivery until then"),
    ("deliveries", "status", "HTTP status of the last response"),
    ("endpoints", "failing_since", "time of the first of the consecutive failures"),
    ("endpoints", "failures", "consecutive failures"),
    ("endpoints", "old_secret", "encrypted; also signs until old_until, while receivers switch to the new secret"),
    ("endpoints", "ops", "operations to send; an empty list: all"),
    ("endpoints", "rest_until", "not called before this time"),
    ("endpoints", "seq", "the last change that was checked for this endpoint"),
    ("endpoints", "sources", "sources to send; an empty list: all"),
    ("endpoints", "types", "object types to send; an empty list: all"),
    ("endpoints", "user_id", "owner; receives changes of their workspaces. null: the operator, all workspaces"),
    ("feed_cursors", "name", "name of a consumer; `pruned` marks where the feed starts"),
    ("feed_cursors", "seq", "the last change that the consumer has processed"),
    ("notifications", "created_at", "when Intercom created the notification"),
    ("notifications", "entry", "id of the entry in the inbox, as in the logs"),
    ("object_states", "clean", "value of dirty up to which refetches have settled them"),
    ("object_states", "dirty", "counts the reasons to refetch the object"),
    ("object_states", "gone", "tombstone: the object was deleted or merged"),
    ("object_states", "refetch_after", "not refetched before this time; set when a refetch failed"),
    ("parked", "deaths", "number of processes that crashed while they handled it"),
    ("parked", "entry", "id of the entry in the inbox, as in the logs"),
    ("segments", "_raw", "canonical JSON of the object, without the lists that have link tables"),
    ("segments", "_source", "source of the last observation: webhook, backfill, refetch, ..."),
    ("segments", "_synced_at", "when the mirror last wrote this row"),
    ("segments", "_verified_at", "Intercom's time at which a GET by id last returned it"),
    ("segments", "_version", "updated_at in unix seconds; negative: only some fields are known"),
    ("sync_marks", "lag_seconds", "from receipt to commit of the last notification"),
    ("sync_parts", "cursor", "where to continue; null: at the beginning"),
    ("sync_parts", "part", "what the part reads, e.g. contacts/19000-19030: created on those days"),
    ("sync_parts", "retry_at", "not retried before this time; set after a failure"),
    ("sync_parts", "stage", "parts of a later stage wait for all parts of earlier stages"),
    ("sync_runs", "error", "the last error; a sentence without personal data"),
    ("sync_runs", "expected", "number of objects, as far as Intercom reported it"),
    ("sync_runs", "lease_by", "the process that works on the run"),
    (
        "sync_runs",
        "lease_until",
        "no other process may work on the run before; once it has ended, when it was last worked on",
    ),
    ("sync_runs", "seen", "number of objects read so far"),
    ("sync_runs", "state", "queued, running, done, failed or waiting (for an operator)"),
    ("sync_seen", "kind", "contact, company, tag, segment; or the part that read it"),
    ("tags", "_raw", "canonical JSON of the object, without the lists that have link tables"),
    ("tags", "_source", "source of the last observation: webhook, backfill, refetch, ..."),
    ("tags", "_synced_at", "when the mirror last wrote this row"),
    ("tags", "_verified_at", "Intercom's time at which a GET by id last returned it"),
    ("tags", "_version", "updated_at in unix seconds; negative: only some fields are known"),
    ("workflow_effects", "ended_at", "null: in progress or interrupted"),
    ("workflow_effects", "is_message", "the step sent a message, which changes last_contacted_at"),
    ("workflow_effects", "number", "0 for the first object, counting up"),
    ("workflow_effects", "version", "updated_at in the response, unix seconds"),
    ("workflow_files", "digest", "SHA-256 of the current text"),
    ("workflow_files", "since_seq", "changes up to this seq start no run of the workflow"),
    ("workflow_runs", "change_seq", "the change that started the run"),
    ("workflow_runs", "copy", "number of times the run was restarted"),
    ("workflow_runs", "digest", "SHA-256 of the text that the run follows"),
    ("workflow_runs", "due_at", "not executed before this time"),
    ("workflow_runs", "error", "why the run ended; a sentence without personal data"),
    ("workflow_runs", "lease_by", "the process that works on the run"),
    ("workflow_runs", "lease_until", "no other process may work on the run before"),
    ("workflow_runs", "position", "number of the current step"),
    ("workflow_runs", "record", "the object as it was when the run started"),
    ("workflow_runs", "replays", "number of times an operator resumed the run"),
    ("workflow_runs", "state", "held, queued, done, stopped, failed, unknown or ignored (its own change)"),
    ("workflow_sources", "text", "the file's text; a run follows its text to the end, even if the file changes"),
    ("workflow_steps", "due_at", "when a wait ends, or when the next attempt may start"),
    ("workflow_steps", "input", "the rendered input; values of settings are replaced by their names"),
    ("workflow_steps", "step", "id of the step in the file"),
    ("workspaces", "frozen_at", "when the last connection ended; null while there is a connection"),
    ("workspaces", "frozen_because", "why the last connection ended"),
    ("workspaces", "timezone", "as Intercom names it; some searches work in days of this time zone"),
)


def upgrade() -> None:
    """Migrate the tables from the previous revision to this one."""
    connection = op.get_bind()
    if connection.dialect.name == "postgresql":
        for table, column, comment in _COMMENTS:
            literal = comment.replace("'", "''")
            connection.exec_driver_sql(f"COMMENT ON COLUMN {table}.{column} IS '{literal}'")


def downgrade() -> None:
    """Keep the comments: they describe the same columns."""
