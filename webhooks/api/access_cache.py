"""
A cache of what a user may access: their workspaces, and the client with their token.

Without it, each proxied call runs three SQL queries and decrypts a token. Measured with `bench/proxy.py` on PostgreSQL,
alternating on a busy machine: at the median a proxied GET takes 4 ms longer than a direct one with the cache, and 10 ms
longer without.

A connection that this process makes or ends takes effect at once: `registry.change_count` changes, so every entry is
stale. One that another process makes or ends takes effect after ENTRY_SECONDS at most. Until then an ended connection
is usable only as far as Intercom itself accepts its token, which disconnecting revokes.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.lanes import Lane
from workers.connections import registry

Value = TypeVar("Value")

# Seconds that an entry is valid: how long a change made by another process goes unnoticed.
ENTRY_SECONDS = 1.0
# Entries of each cache; when the number is reached, all are dropped. Each takes a few hundred bytes.
_MAX_ENTRIES = 4096


class _CachedFunction(Generic[Value]):
    """A function whose results are reused for ENTRY_SECONDS, or until this process changes a connection."""

    def __init__(self, function: Callable[..., Value]) -> None:
        self._function = function
        # By arguments: when the entry expires, the change count it was made at, and the result.
        self._entries: dict[tuple[Any, ...], tuple[float, int, Value]] = {}

    def __call__(self, *arguments: Any) -> Value:
        now, change_count = time.monotonic(), registry.change_count()
        entry = self._entries.get(arguments)
        if entry is not None and entry[0] > now and entry[1] == change_count:
            return entry[2]
        value = self._function(*arguments)
        if len(self._entries) >= _MAX_ENTRIES:
            self._entries.clear()
        self._entries[arguments] = (now + ENTRY_SECONDS, change_count, value)
        return value


class AccessCache:
    """
    The cache of one process.

    Attributes:
        workspaces: called with a user id, returns the ids of the workspaces that the user is connected to, the newest
            first; with None, of all connected workspaces.
        client: called with a user id and a workspace id, returns a client with the user's own token; None if there is
            none.
    """

    def __init__(self) -> None:
        self.workspaces: _CachedFunction[list[str]] = _CachedFunction(_workspaces)
        self.client: _CachedFunction[IntercomClient | None] = _CachedFunction(_client)


@cache
def access_cache() -> AccessCache:
    """Return the cache of this process."""
    return AccessCache()


def _workspaces(user_id: str | None) -> list[str]:
    if user_id is None:
        return [workspace.workspace_id for workspace in registry.connected_workspaces()]
    return [row["workspace_id"] for row in registry.connections_of_user(user_id) if row["status"] == "connected"]


def _client(user_id: str | None, workspace_id: str) -> IntercomClient | None:
    return registry.client_of(workspace_id, Lane.INTERACTIVE, user_id)
