"""Asking the emulator for one object, as long as development credentials are in use."""

from typing import Any

import requests
from requests.adapters import HTTPAdapter

from intercom_api.errors import TransientError
from workers.facts.from_fetch import Fetch, FetchResult, FoundObject, MergedContact, MissingObject

# Seconds; the emulator answers in milliseconds or is not there.
_TIMEOUT = 3.0
_RETRY_AFTER = 5.0
# Connections kept open: as many as objects are asked for at once (workers.refetch.dirty_objects).
_CONNECTIONS = 16


def emulator_fetch(port: int) -> Fetch:
    """Return a `fetch` that asks the emulator on this port for what is true."""
    session = requests.Session()
    session.mount("http://", HTTPAdapter(pool_maxsize=_CONNECTIONS))

    def fetch(workspace_id: str, object_type: str, object_id: str) -> FetchResult:
        address = f"http://127.0.0.1:{port}/truth/{workspace_id}/{object_type}/{object_id}"
        try:
            response = session.get(address, timeout=_TIMEOUT)
            response.raise_for_status()
            return _answer(response.json())
        except (requests.RequestException, KeyError) as error:
            raise TransientError("The emulator did not answer.", _RETRY_AFTER) from error

    return fetch


def _answer(told: dict[str, Any]) -> FetchResult:
    as_of_ms = int(told["as_of_ms"])
    if told["status"] == "found":
        return FoundObject(told["object"], as_of_ms, told.get("archived"))
    if told["status"] == "merged":
        return MergedContact(str(told["into"]), as_of_ms)
    return MissingObject(as_of_ms)
