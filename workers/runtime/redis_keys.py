"""The names of everything we keep in Redis, beside what Celery keeps there itself."""

# The stream. An entry has two fields: "b", the raw body, and "t", when it was received (integer milliseconds
# since 1970, as text); a note of our own has "n" in place of "b". It is deleted once its rows are committed, so the
# length of the stream is the backlog.
INBOX = "intercom-mirror:inbox"

# The consumer group that every drain reads through.
GROUP = "drain"

# Exists while a Celery message that says "the inbox is not empty" is on its way.
DOORBELL = "intercom-mirror:doorbell"

# Exists while a second drain is on its way to help the first.
SECOND_DRAIN = "intercom-mirror:help"

# Held by the one process that asks Intercom about objects in doubt.
REFETCH_LOCK = "intercom-mirror:refetching"

# One hash with the numbers of every process, for /metrics.
COUNTERS = "intercom-mirror:counters"

# A sorted set of workspaces whose tokens may be dead, as "reason:workspace", each with the milliseconds at which the
# last doubt came up.
TOKEN_CHECKS = "intercom-mirror:doubts"  # noqa: S105 -- a name

# Followed by the SHA-256 of a token of the settings: "connected", or "refused" until it is worth another try.
CONFIGURED_TOKEN = "intercom-mirror:given-token:"  # noqa: S105 -- a name

# Followed by the SHA-256 of a cookie: the user who opened the pages of connecting.
SESSION = "intercom-mirror:session:"

# Followed by the SHA-256 of an OAuth state: whose it is, or that it was used.
OAUTH_STATE = "intercom-mirror:oauth-state:"
