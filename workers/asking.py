"""How this process asks for objects in doubt: through the connections, or in development also the emulator's truth."""

import threading
from collections.abc import Callable

import structlog

from intercom_api.client import IntercomClient
from intercom_api.errors import NotAuthorizedError, TransientError
from intercom_api.lanes import Lane
from settings import get_settings
from workers import connections
from workers.fetched import Answer, Fetch
from workers.fetching import ClientOf, client_fetch
from workers.truth import emulator_fetch

log = structlog.get_logger()

Disconnect = Callable[[str, str], object]

# Seconds that an object waits whose workspace has just turned out to be closed to us.
_CLOSED_PAUSE = 60.0


def fetcher() -> Fetch:
    """Return a `fetch` for one round: what it learns of connections holds as long."""
    settings = get_settings()
    otherwise = emulator_fetch(settings.emulator_port) if settings.development else None
    return fetch_through(connections.client_of, connections.disconnect, otherwise)


def askable() -> list[str] | None:
    """Return the workspaces that can be asked for; None for all, as in development."""
    if get_settings().development:
        return None
    return [workspace.workspace_id for workspace in connections.connected_workspaces()]


def fetch_through(client_of: ClientOf, disconnect: Disconnect, otherwise: Fetch | None = None) -> Fetch:
    """
    Return a `fetch` that asks as the connections allow, for threads.

    A workspace that refuses its token is looked at once, by `disconnect`, and not asked again in this round.

    Args:
        client_of: the client of a workspace, None if nobody is connected; asked once for each workspace.
        disconnect: told the workspace and Intercom's code.
        otherwise: asked about workspaces that nobody is connected to; None: they wait.
    """
    clients: dict[str, IntercomClient | None] = {}
    closed: set[str] = set()
    lock = threading.Lock()

    def known(workspace_id: str, lane: Lane) -> IntercomClient | None:
        with lock:
            if workspace_id not in clients:
                clients[workspace_id] = client_of(workspace_id, lane)
            return clients[workspace_id]

    def close(workspace_id: str, code: str) -> None:
        with lock:
            if workspace_id in closed:
                return
            closed.add(workspace_id)
        disconnect(workspace_id, code)

    through = client_fetch(known)

    def fetch(workspace_id: str, object_type: str, object_id: str) -> Answer:
        if workspace_id in closed:
            raise TransientError("The workspace's token is refused.", _CLOSED_PAUSE)
        if otherwise is not None and known(workspace_id, Lane.REFETCH) is None:
            return otherwise(workspace_id, object_type, object_id)
        try:
            return through(workspace_id, object_type, object_id)
        except NotAuthorizedError as error:
            close(workspace_id, error.code)
            raise

    return fetch
