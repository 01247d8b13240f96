"""The views that the application reads, for each dialect; each is one SELECT over the tables."""

_ACTIVE = {
    f"active_{table}": f"SELECT * FROM {table} WHERE NOT archived"  # noqa: S608 -- two constants
    for table in ("contacts", "companies")
}

# UNION, not UNION ALL, so that the recursion ends even if Intercom reports merges in a circle.
_CONTACT_REDIRECTS = """
WITH RECURSIVE chain(workspace_id, from_id, into_id, merged_at) AS (
    SELECT workspace_id, from_id, into_id, merged_at FROM contact_merges
    UNION
    SELECT chain.workspace_id, chain.from_id, next.into_id, chain.merged_at
    FROM chain
    JOIN contact_merges AS next ON next.workspace_id = chain.workspace_id AND next.from_id = chain.into_id
)
SELECT workspace_id, from_id, into_id, merged_at
FROM chain
WHERE NOT EXISTS (
    SELECT 1 FROM contact_merges AS further
    WHERE further.workspace_id = chain.workspace_id AND further.from_id = chain.into_id
)
"""

_CONNECTED_USERS = """
SELECT connections.user_id, connections.workspace_id, workspaces.region, connections.status
FROM connections LEFT JOIN workspaces ON workspaces.workspace_id = connections.workspace_id
"""

_COUNTS = " UNION ALL ".join(
    f"SELECT workspace_id, '{kind}' AS object_type, COUNT(*) AS row_count"  # noqa: S608 -- constants
    f" FROM {table} GROUP BY workspace_id"
    for kind, table in (("contact", "contacts"), ("company", "companies"), ("tag", "tags"), ("segment", "segments"))
)

_SYNC_STATUS = f"""
SELECT keys.workspace_id, keys.object_type, COALESCE(counts.row_count, 0) AS "rows",
       marks.last_notification_at, marks.last_backfill_at, marks.last_reconcile_at,
       marks.last_verify_at, marks.last_verify_result,
       COALESCE(owed.backlog, 0) AS backlog, marks.lag_seconds, workspaces.frozen_at
FROM (
    SELECT workspace_id, object_type FROM sync_marks
    UNION SELECT workspace_id, object_type FROM ({_COUNTS}) AS counted
) AS keys
LEFT JOIN ({_COUNTS}) AS counts ON counts.workspace_id = keys.workspace_id AND counts.object_type = keys.object_type
LEFT JOIN sync_marks AS marks ON marks.workspace_id = keys.workspace_id AND marks.object_type = keys.object_type
LEFT JOIN (
    SELECT workspace_id, object_type, COUNT(*) AS backlog
    FROM object_states WHERE dirty > clean GROUP BY workspace_id, object_type
) AS owed ON owed.workspace_id = keys.workspace_id AND owed.object_type = keys.object_type
LEFT JOIN workspaces ON workspaces.workspace_id = keys.workspace_id
"""  # noqa: S608 -- constants

_ATTRIBUTES_POSTGRESQL = """
SELECT contacts.workspace_id, contacts.id AS contact_id, attribute.key AS name,
       jsonb_typeof(attribute.value) AS type, attribute.value #>> '{}' AS value
FROM contacts, jsonb_each(contacts.custom_attributes) AS attribute
"""

# SQLite has other names for JSON types; readers get PostgreSQL's names on both.
_ATTRIBUTES_SQLITE = """
SELECT contacts.workspace_id, contacts.id AS contact_id, attribute.key AS name,
       CASE attribute.type WHEN 'text' THEN 'string' WHEN 'integer' THEN 'number' WHEN 'real' THEN 'number'
            WHEN 'true' THEN 'boolean' WHEN 'false' THEN 'boolean' ELSE attribute.type END AS type,
       CASE attribute.type WHEN 'true' THEN 'true' WHEN 'false' THEN 'false'
            ELSE CAST(attribute.value AS TEXT) END AS value
FROM contacts, json_each(contacts.custom_attributes) AS attribute
"""


def views(dialect: str) -> dict[str, str]:
    """Return the SELECT of every view, by name, for the dialect ("postgresql" or "sqlite")."""
    return {
        **_ACTIVE,
        "contact_redirects": _CONTACT_REDIRECTS,
        "connected_users": _CONNECTED_USERS,
        "contact_attributes": _ATTRIBUTES_POSTGRESQL if dialect == "postgresql" else _ATTRIBUTES_SQLITE,
        "sync_status": _SYNC_STATUS,
    }
