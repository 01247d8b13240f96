"""Runs the emulator in a process of its own, so that its CPU time counts neither for the benchmark nor the product."""

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
# The access token of its workspace.
TOKEN = f"dev-token-{WORKSPACE}"


class EmulatorProcess:
    """A running emulator, on `port`."""

    def __init__(self, port: int, pipe: Connection) -> None:
        self.port = port
        self._pipe = pipe

    def rename(self, count: int) -> list[tuple[str, bytes]]:
        """Rename `count` contacts, each once; return their ids and the notifications about it."""
        self._pipe.send(count)
        renamed: list[tuple[str, bytes]] = self._pipe.recv()
        return renamed

    def calls(self) -> dict[str, int]:
        """Return the number of calls so far by method and path, such as "GET /tags"."""
        self._pipe.send(None)
        counted: dict[str, int] = self._pipe.recv()
        return counted


@contextmanager
def run_emulator(contacts: int, companies: int, **quirks: Any) -> Iterator[EmulatorProcess]:
    """Run an emulator with so many contacts and companies within the block."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=_serve, args=(there, contacts, companies, quirks), daemon=True)
    process.start()
    try:
        yield EmulatorProcess(here.recv(), here)
    finally:
        process.terminate()
        process.join()


def _serve(pipe: Connection, contacts: int, companies: int, quirks: dict[str, Any]) -> None:
    workspace = EmulatedWorkspace(WORKSPACE)
    bulk_load(workspace, contacts, companies)
    engine = Simulation(
        workspace, NotificationSender(WebhookTarget("http://127.0.0.1:9/", "secret"), NetworkFaults(loss=1.0)), rate=0
    )
    run_emulator = IntercomEmulator([engine])
    run_emulator.change(quirks)
    server = EmulatorServer("127.0.0.1", 0, ApiMiddleware(run_emulator, _not_found))
    Thread(target=server.serve_forever, daemon=True).start()
    pipe.send(server.server_port)
    while True:
        wanted = pipe.recv()
        with engine.lock:
            calls = dict(run_emulator.workspace_apis[WORKSPACE].calls)
            pipe.send(calls if wanted is None else _renamed(workspace, wanted))


def _renamed(workspace: EmulatedWorkspace, count: int) -> list[tuple[str, bytes]]:
    active = [each.id for each in workspace.contacts.values() if not each.archived]
    renamed = [
        workspace.update_contact(each, {"name": f"Renamed {number}"}) for number, each in enumerate(active[:count])
    ]
    return [(one.object_id, one.body) for [one] in renamed]


def _not_found(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return [b""]
