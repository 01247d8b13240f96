"""The tables that only the mirror reads: guards, remembered links, ledger, parked entries, connections, marks, keys."""

from sqlalchemy import Boolean, Column, Float, Index, Integer, LargeBinary, Table, Text, text

from models.tables.column_types import BigInt, Json, Sequence, UtcDateTime
from models.tables.public_tables import metadata

object_states = Table(
    "object_states",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("object_type", Text, primary_key=True),
    Column("object_id", Text, primary_key=True),
    Column("gone", Boolean, nullable=False, comment="tombstone: the object was deleted or merged"),
    Column("dirty", BigInt, nullable=False, comment="counts the reasons to refetch the object"),
    Column("clean", BigInt, nullable=False, comment="value of dirty up to which refetches have settled them"),
    Column("refetch_after", UtcDateTime, comment="not refetched before this time; set when a refetch failed"),
    Column("refetch_attempts", Integer, nullable=False, server_default=text("0")),
    Column("registers", Text, nullable=False, comment="JSON: versions and stamps, see models.rule.state.Registers"),
    # Percent of a page that inserts fill. Every notification updates a guard row; if its page has room for the new
    # version, PostgreSQL need not update the index.
    postgresql_with={"fillfactor": 80},
)
Index(
    "ix_object_states_dirty",
    object_states.c.workspace_id,
    postgresql_where=object_states.c.dirty > object_states.c.clean,
    sqlite_where=object_states.c.dirty > object_states.c.clean,
)

link_states = Table(
    "link_states",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("kind", Text, primary_key=True, comment="the name of the link table"),
    Column("owner_id", Text, primary_key=True),
    Column("other_id", Text, primary_key=True),
    Column("present", Boolean, nullable=False),
    Column("stamp", Text, nullable=False, comment="JSON, see models.rule.observations.Stamp"),
)
# Not starting like the primary key: without recent statistics PostgreSQL chose such an index to look up an owner's
# links, and so read all links of the workspace for each owner; that halved the speed of the drain.
Index(None, link_states.c.other_id, link_states.c.kind, link_states.c.workspace_id)

notifications = Table(
    "notifications",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("id", Text, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("object_type", Text, nullable=False),
    Column("object_id", Text, nullable=False),
    Column("created_at", UtcDateTime, nullable=False, comment="when Intercom created the notification"),
    Column("received_at", UtcDateTime, nullable=False),
    Column("applied_at", UtcDateTime, nullable=False),
    Column("outcome", Text, nullable=False, comment="applied or stale"),
    Column("entry", Text, nullable=False, comment="id of the entry in the inbox, as in the logs"),
)
Index(None, notifications.c.applied_at)

parked = Table(
    "parked",
    metadata,
    Column("id", Sequence, primary_key=True, autoincrement=True),
    Column("entry", Text, nullable=False, unique=True, comment="id of the entry in the inbox, as in the logs"),
    Column("body", LargeBinary, nullable=False),
    Column("reason", Text, nullable=False),
    Column("traceback", Text, nullable=False),
    Column("deaths", Integer, nullable=False, comment="number of processes that crashed while they handled it"),
    Column("received_at", UtcDateTime, nullable=False),
    Column("parked_at", UtcDateTime, nullable=False),
    Column("replayed_at", UtcDateTime),
    sqlite_autoincrement=True,
)

contact_merges = Table(
    "contact_merges",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("from_id", Text, primary_key=True),
    Column("into_id", Text, nullable=False),
    Column("merged_at", UtcDateTime, nullable=False),
)
Index(None, contact_merges.c.workspace_id, contact_merges.c.into_id)

sync_marks = Table(
    "sync_marks",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("object_type", Text, primary_key=True),
    Column("last_notification_at", UtcDateTime),
    Column("lag_seconds", Float, comment="from receipt to commit of the last notification"),
    Column("last_backfill_at", UtcDateTime),
    Column("last_reconcile_at", UtcDateTime),
    Column("last_verify_at", UtcDateTime),
    Column("last_verify_result", Text),
)

connections = Table(
    "connections",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("user_id", Text, primary_key=True),
    Column("app", Text, nullable=False, comment="client id of the app that the token belongs to"),
    Column("admin_id", Text, comment="Intercom's id of the teammate who authorised it"),
    Column("status", Text, nullable=False, comment="connected or disconnected"),
    Column("token", LargeBinary, comment="encrypted; null once disconnected"),
    Column(
        "fingerprint",
        Text,
        comment="SHA-256 of the token, which distinguishes it from a newer one; kept after disconnecting",
    ),
    Column("connected_at", UtcDateTime, nullable=False),
    Column("disconnected_at", UtcDateTime),
    Column("reason", Text, comment="why it was disconnected: user, uninstalled, or Intercom's error code"),
)
Index(None, connections.c.user_id)

workspaces = Table(
    "workspaces",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("name", Text),
    Column("region", Text, comment="US, EU or AU"),
    Column("timezone", Text, comment="as Intercom names it; some searches work in days of this time zone"),
    Column("frozen_at", UtcDateTime, comment="when the last connection ended; null while there is a connection"),
    Column("frozen_because", Text, comment="why the last connection ended"),
)

action_keys = Table(
    "action_keys",
    metadata,
    Column("workspace_id", Text, primary_key=True),
    Column("owner", Text, primary_key=True, comment="owner of the key: user:ID, operator or workflow"),
    Column("key", Text, primary_key=True),
    Column("action", Text, nullable=False),
    Column(
        "digest", Text, nullable=False, comment="SHA-256 of the input; the same key with another digest is an error"
    ),
    Column("state", Text, nullable=False, comment="reserved, sending, done, failed or unknown"),
    Column("began_at", UtcDateTime, nullable=False),
    Column("lease_until", UtcDateTime, nullable=False, comment="a process works on the action until then"),
    Column("ended_at", UtcDateTime),
    Column("outcome", Json, comment="the response; null while it is unknown"),
)
Index(None, action_keys.c.ended_at)

feed_cursors = Table(
    "feed_cursors",
    metadata,
    Column("name", Text, primary_key=True, comment="name of a consumer; `pruned` marks where the feed starts"),
    Column("seq", BigInt, nullable=False, comment="the last change that the consumer has processed"),
    Column("moved_at", UtcDateTime, nullable=False),
)
