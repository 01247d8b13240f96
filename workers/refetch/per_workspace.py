"""
How this process fetches objects of any workspace: with the workspace's connection, or from a local emulator.

With development credentials, an object of a workspace without connection is fetched from the emulator's own interface,
which needs no token. So notifications of the emulator are mirrored completely before any user has connected.
"""

import threading
from collections.abc import Callable
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from intercom_api.errors import NotAuthorizedError, TransientError
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.lanes import Lane
from settings import get_settings
from workers.connections import registry
from workers.facts.from_fetch import Fetch, FetchResult, FoundObject, MergedContact, MissingObject
from workers.refetch.dirty_objects import CONCURRENT_FETCHES
from workers.refetch.fetch_object import ClientOf, intercom_fetch

EndConnections = Callable[[str, str], object]

# Seconds before the next attempt for an object of a workspace whose token was just refused.
_REFUSED_RETRY_SECONDS = 60.0

# Seconds. The emulator responds in milliseconds if it runs.
_EMULATOR_TIMEOUT = 3.0
_EMULATOR_RETRY_SECONDS = 5.0


def round_fetch() -> Fetch:
    """Return a `fetch` for one round of refetching. Within the round it loads each connection once."""
    port = get_settings().local_emulator_port
    fallback = None if port is None else emulator_fetch(port)
    return fetch_with_connections(registry.client_of, registry.end_refused_connections, fallback)


def fetchable_workspaces() -> list[str] | None:
    """Return the workspaces whose objects can be fetched; None for all, as with a local emulator."""
    if get_settings().local_emulator_port is not None:
        return None
    return [workspace.workspace_id for workspace in registry.connected_workspaces()]


def fetch_with_connections(
    client_of: ClientOf, end_connections: EndConnections, fallback: Fetch | None = None
) -> Fetch:
    """
    Return a `fetch` that uses the connections of workspaces. It may be called from several threads.

    After a token was refused, `end_connections` is called once, and the workspace is not called again.

    Args:
        client_of: returns the client of a workspace, or None without connection; called once for each workspace.
        end_connections: called with the workspace and Intercom's error code.
        fallback: used for workspaces without connection; None: their objects wait.
    """
    return _ConnectionsFetch(client_of, end_connections, fallback).fetch


class _ConnectionsFetch:
    def __init__(self, client_of: ClientOf, end_connections: EndConnections, fallback: Fetch | None) -> None:
        self._client_of = client_of
        self._end_connections = end_connections
        self._fallback = fallback
        self._intercom_fetch = intercom_fetch(self._client)
        self._clients: dict[str, IntercomClient | None] = {}
        self._refused: set[str] = set()
        self._lock = threading.Lock()

    def fetch(self, workspace_id: str, object_type: str, object_id: str) -> FetchResult:
        """Fetch one object; see `Fetch`."""
        if workspace_id in self._refused:
            raise TransientError("The workspace's token was refused.", _REFUSED_RETRY_SECONDS)
        if self._fallback is not None and self._client(workspace_id, Lane.REFETCH) is None:
            return self._fallback(workspace_id, object_type, object_id)
        try:
            return self._intercom_fetch(workspace_id, object_type, object_id)
        except NotAuthorizedError as error:
            self._refuse(workspace_id, error.code)
            raise

    def _client(self, workspace_id: str, lane: Lane) -> IntercomClient | None:
        with self._lock:
            if workspace_id not in self._clients:
                self._clients[workspace_id] = self._client_of(workspace_id, lane)
            return self._clients[workspace_id]

    def _refuse(self, workspace_id: str, code: str) -> None:
        with self._lock:
            if workspace_id in self._refused:
                return
            self._refused.add(workspace_id)
        self._end_connections(workspace_id, code)


def emulator_fetch(port: int) -> Fetch:
    """Return a `fetch` that reads the emulator's own state of an object. It may be called from several threads."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=CONCURRENT_FETCHES))

    def fetch(workspace_id: str, object_type: str, object_id: str) -> FetchResult:
        address = f"http://127.0.0.1:{port}/truth/{workspace_id}/{object_type}/{object_id}"
        try:
            response = session.get(address, timeout=_EMULATOR_TIMEOUT)
            response.raise_for_status()
            return _emulator_result(response.json())
        except (requests.RequestException, KeyError) as error:
            raise TransientError("The emulator is unavailable.", _EMULATOR_RETRY_SECONDS) from error

    return fetch


def _emulator_result(body: dict[str, Any]) -> FetchResult:
    as_of_ms = int(body["as_of_ms"])
    if body["status"] == "found":
        return FoundObject(body["object"], as_of_ms, body.get("archived"))
    if body["status"] == "merged":
        return MergedContact(str(body["into"]), as_of_ms)
    return MissingObject(as_of_ms)
