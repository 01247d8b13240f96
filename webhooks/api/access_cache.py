"""
What a user may touch, remembered for a moment: asking SQL three times for each call would take longer than the rest.

What this process itself connects or disconnects counts at once; what others do, a second later.
"""

import time
from collections.abc import Callable
from functools import cache
from typing import Any, Generic, TypeVar

from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.lanes import Lane
from workers.connections import registry

Value = TypeVar("Value")

# Seconds. A user who disconnects elsewhere is done with; Intercom itself refuses a token that it ended.
_SECONDS = 1.0
# Entries; beyond, all are forgotten. Each has a few hundred bytes.
_MOST = 4096


class _Remembered(Generic[Value]):
    def __init__(self, find: Callable[..., Value]) -> None:
        self._find = find
        self._known: dict[tuple[Any, ...], tuple[float, int, Value]] = {}

    def __call__(self, *key: Any) -> Value:
        now, changes = time.monotonic(), registry.change_count()
        found = self._known.get(key)
        if found is not None and found[0] > now and found[1] == changes:
            return found[2]
        value = self._find(*key)
        if len(self._known) >= _MOST:
            self._known.clear()
        self._known[key] = (now + _SECONDS, changes, value)
        return value


class Openings:
    """
    Of one process.

    `workspaces(user_id)`: the ids of those that the user is connected to, the newest first; of all that anybody is
    for None. `client(user_id, workspace_id)`: with the user's own token, None if there is none.
    """

    def __init__(self) -> None:
        self.workspaces: _Remembered[list[str]] = _Remembered(_workspaces)
        self.client: _Remembered[IntercomClient | None] = _Remembered(_client)


@cache
def openings() -> Openings:
    """Return this process's."""
    return Openings()


def _workspaces(user_id: str | None) -> list[str]:
    if user_id is None:
        return [workspace.workspace_id for workspace in registry.connected_workspaces()]
    return [row["workspace_id"] for row in registry.connections_of_user(user_id) if row["status"] == "connected"]


def _client(user_id: str | None, workspace_id: str) -> IntercomClient | None:
    return registry.client_of(workspace_id, Lane.INTERACTIVE, user_id)
