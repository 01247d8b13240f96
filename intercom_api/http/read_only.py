"""
Which requests to Intercom only read.

Such a request may be repeated after a lost response, and what its response shows may be older than the response itself.

Source:
    Intercom's OpenAPI description 2.16.
"""

_READING_METHODS = frozenset({"GET", "HEAD"})

# Searches and lists whose query is in the body. `/companies/search` is in no published description, but applications
# call it. Not here: `/events/summaries`, which writes.
_READING_POSTS = frozenset(
    {
        "/admins/activity_logs/search",
        "/calls/search",
        "/companies/list",
        "/companies/search",
        "/contacts/search",
        "/conversations/search",
        "/tickets/search",
    }
)


def is_read_only(method: str, path: str) -> bool:
    """
    Return whether a request changes nothing in Intercom.

    Args:
        method: of HTTP, in upper case.
        path: below the base address, beginning with a slash, without a query.
    """
    return method in _READING_METHODS or (method == "POST" and path in _READING_POSTS)
