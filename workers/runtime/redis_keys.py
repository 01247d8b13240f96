"""The names of all keys in Redis, except those of Celery."""

# The inbox, a stream. An entry has the fields "b", the request body as received, and "t", the time of arrival (integer
# milliseconds since 1970, as text). A refetch request has "n" in place of "b" (workers.inbox.refetch_requests). An
# entry is deleted once its rows are committed, so the length of the stream is the backlog.
INBOX = "intercom-mirror:inbox"

# The consumer group of all drains.
GROUP = "drain"

# Exists while a doorbell is on its way (workers.inbox.doorbell).
DOORBELL = "intercom-mirror:doorbell"

# Exists while the message for a second drain is on its way.
SECOND_DRAIN = "intercom-mirror:help"

# The lock of the one process that refetches dirty objects.
REFETCH_LOCK = "intercom-mirror:refetching"

# A hash with the numbers of /metrics, of all processes.
COUNTERS = "intercom-mirror:counters"

# A sorted set of workspaces whose tokens must be checked (workers.connections.token_checks). A member is
# "reason:workspace", its score the time of the last request, in milliseconds since 1970.
TOKEN_CHECKS = "intercom-mirror:doubts"  # noqa: S105 -- a name

# Followed by the SHA-256 of a token of the settings: "connected", or "refused" until it is tried again.
CONFIGURED_TOKEN = "intercom-mirror:given-token:"  # noqa: S105 -- a name

# Followed by the SHA-256 of a cookie: the user who opened the connect page.
SESSION = "intercom-mirror:session:"

# Followed by the SHA-256 of an OAuth state: the user it was issued to, or that it was used.
OAUTH_STATE = "intercom-mirror:oauth-state:"
