"""How this process asks for objects in doubt: through the connections, or in development also the emulator's truth."""

import threading
from collections.abc import Callable

import structlog

from intercom_api.errors import NotAuthorizedError, TransientError
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.lanes import Lane
from settings import get_settings
from workers.connections import registry
from workers.facts.from_fetch import Fetch, FetchResult
from workers.refetch.fetch_object import ClientOf, intercom_fetch
from workers.refetch.from_emulator import emulator_fetch

log = structlog.get_logger()

Disconnect = Callable[[str, str], object]

# Seconds that an object waits whose workspace has just turned out to be closed to us.
_CLOSED_PAUSE = 60.0


def round_fetch() -> Fetch:
    """Return a `fetch` for one round: what it learns of connections holds as long."""
    port = get_settings().local_emulator_port
    otherwise = None if port is None else emulator_fetch(port)
    return fetch_with_connections(registry.client_of, registry.end_refused_connections, otherwise)


def fetchable_workspaces() -> list[str] | None:
    """Return the workspaces that can be asked for; None for all, as in development."""
    if get_settings().local_emulator_port is not None:
        return None
    return [workspace.workspace_id for workspace in registry.connected_workspaces()]


def fetch_with_connections(client_of: ClientOf, disconnect: Disconnect, otherwise: Fetch | None = None) -> Fetch:
    """
    Return a `fetch` that asks as the connections allow, for threads.

    A workspace that refuses its token is looked at once, by `disconnect`, and not asked again in this round.

    Args:
        client_of: the client of a workspace, None if nobody is connected; asked once for each workspace.
        disconnect: told the workspace and Intercom's code.
        otherwise: asked about workspaces that nobody is connected to; None: they wait.
    """
    return _Round(client_of, disconnect, otherwise).fetch


class _Round:
    def __init__(self, client_of: ClientOf, disconnect: Disconnect, otherwise: Fetch | None) -> None:
        self._client_of = client_of
        self._disconnect = disconnect
        self._otherwise = otherwise
        self._through = intercom_fetch(self._known)
        self._clients: dict[str, IntercomClient | None] = {}
        self._closed: set[str] = set()
        self._lock = threading.Lock()

    def fetch(self, workspace_id: str, object_type: str, object_id: str) -> FetchResult:
        """Ask whoever can be asked about the workspace."""
        if workspace_id in self._closed:
            raise TransientError("The workspace's token is refused.", _CLOSED_PAUSE)
        if self._otherwise is not None and self._known(workspace_id, Lane.REFETCH) is None:
            return self._otherwise(workspace_id, object_type, object_id)
        try:
            return self._through(workspace_id, object_type, object_id)
        except NotAuthorizedError as error:
            self._close(workspace_id, error.code)
            raise

    def _known(self, workspace_id: str, lane: Lane) -> IntercomClient | None:
        with self._lock:
            if workspace_id not in self._clients:
                self._clients[workspace_id] = self._client_of(workspace_id, lane)
            return self._clients[workspace_id]

    def _close(self, workspace_id: str, code: str) -> None:
        with self._lock:
            if workspace_id in self._closed:
                return
            self._closed.add(workspace_id)
        self._disconnect(workspace_id, code)
