"""The pretend Intercom in a process of its own, so that its work is not the bench's, nor the product's."""

import multiprocessing
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from threading import Thread
from typing import Any

from emulator.api.api_middleware import ApiMiddleware
from emulator.api.http_server import EmulatorServer
from emulator.api.intercom_emulator import IntercomEmulator
from emulator.bulk_load import bulk_load
from emulator.network_faults import NetworkFaults
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.simulation import Simulation
from emulator.workspace import EmulatedWorkspace

WORKSPACE = "bench001"
# What its calls are made with.
TOKEN = f"dev-token-{WORKSPACE}"


class Pretended:
    """A running one, on `port`."""

    def __init__(self, port: int, pipe: Connection) -> None:
        self.port = port
        self._pipe = pipe

    def rename(self, count: int) -> list[tuple[str, bytes]]:
        """Give so many contacts another name, each once; returns their ids and the notifications that tell it."""
        self._pipe.send(count)
        told: list[tuple[str, bytes]] = self._pipe.recv()
        return told

    def calls(self) -> dict[str, int]:
        """Count the calls so far by method and path: "GET /tags"."""
        self._pipe.send(None)
        counted: dict[str, int] = self._pipe.recv()
        return counted


@contextmanager
def intercom(contacts: int, companies: int, **quirks: Any) -> Iterator[Pretended]:
    """Run one with so many contacts and companies for the length of the block."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, contacts, companies, quirks), daemon=True)
    process.start()
    try:
        yield Pretended(here.recv(), here)
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection, contacts: int, companies: int, quirks: dict[str, Any]) -> None:
    workspace = EmulatedWorkspace(WORKSPACE)
    bulk_load(workspace, contacts, companies)
    engine = Simulation(
        workspace, NotificationSender(WebhookTarget("http://127.0.0.1:9/", "secret"), NetworkFaults(loss=1.0)), rate=0
    )
    intercom = IntercomEmulator([engine])
    intercom.change(quirks)
    server = EmulatorServer("127.0.0.1", 0, ApiMiddleware(intercom, _not_found))
    Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(server.server_port)
    while True:
        wanted = pipe.recv()
        with engine.lock:
            calls = dict(intercom.workspace_apis[WORKSPACE].calls)
            pipe.send(calls if wanted is None else _renamed(workspace, wanted))


def _renamed(workspace: EmulatedWorkspace, count: int) -> list[tuple[str, bytes]]:
    active = [each.id for each in workspace.contacts.values() if not each.archived]
    told = [workspace.update_contact(each, {"name": f"Renamed {number}"}) for number, each in enumerate(active[:count])]
    return [(one.object_id, one.body) for [one] in told]


def _not_found(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return [b""]
