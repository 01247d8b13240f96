"""An emulated Intercom with one workspace on a port of this process, and clients of it."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from redis import Redis

from emulator.api.api_middleware import ApiMiddleware
from emulator.api.behaviour_switches import BehaviourSwitches
from emulator.api.http_server import EmulatorServer
from emulator.api.intercom_emulator import IntercomEmulator
from emulator.network_faults import NetworkFaults
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.simulation import Simulation
from emulator.workspace import EmulatedWorkspace
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.governor import Governor
from intercom_api.rate_limit.lanes import Lane

WORKSPACE = "demo0001"
TOKEN = f"dev-token-{WORKSPACE}"


class IntercomServer:
    """
    An emulated Intercom with one workspace, and clients of it.

    Attributes:
        workspace: the content of the workspace.
        switches: how the emulator behaves.
        paused: the seconds that clients would have waited.
        meanwhile: called when a client waits.
    """

    def __init__(self, intercom: IntercomEmulator, url: str, redis: Redis) -> None:
        self.intercom = intercom
        self.switches: BehaviourSwitches = intercom.switches
        self.tenant = intercom.workspace_apis[WORKSPACE]
        self.workspace: EmulatedWorkspace = self.tenant.workspace
        self.url = url
        self.governor = Governor(redis)
        self.paused: list[float] = []
        self.meanwhile: Callable[[], object] = lambda: None

    def client(
        self,
        lane: Lane = Lane.BACKFILL,
        *,
        token: str = TOKEN,
        region: str = "us",
        version: str = "2.16",
        workspace_id: str = WORKSPACE,
    ) -> IntercomClient:
        """Return a client that advances Intercom's clock instead of waiting."""
        return IntercomClient(
            token,
            f"{self.url}/{region}",
            version=version,
            governor=self.governor,
            app="an-app",
            workspace_id=workspace_id,
            lane=lane,
            pause=self._pause,
        )

    def _pause(self, seconds: float) -> None:
        self.paused.append(seconds)
        self.switches.clock_shift_seconds += seconds
        self.meanwhile()

    def calls(self, path: str) -> int:
        """Count the calls to a path."""
        return sum(count for name, count in self.tenant.calls.items() if name.endswith(f" {path}"))

    def companies(self, count: int) -> list[str]:
        """Create companies, all with one contact, and return their ids."""
        [contact_id] = self.contacts(1)
        for number in range(count):
            self.workspace.create_company({"company_id": f"c-{number}", "name": f"Company {number}"})
        company_ids = list(self.workspace.companies)
        for company_id in company_ids:
            self.workspace.attach(contact_id, company_id)
        return company_ids

    def contacts(self, count: int) -> list[str]:
        """Create users and return their ids."""
        before = set(self.workspace.contacts)
        for number in range(count):
            self.workspace.create_contact("user", {"name": f"Person {number}"})
        return [each for each in self.workspace.contacts if each not in before]


@contextmanager
def intercom_server(redis_url: str) -> Iterator[IntercomServer]:
    """Run an emulated Intercom for the duration of the block."""
    engine = Simulation(
        EmulatedWorkspace(WORKSPACE),
        NotificationSender(WebhookTarget("http://127.0.0.1:9/", "secret"), NetworkFaults(loss=1.0)),
        rate=0,
    )
    intercom = IntercomEmulator([engine])
    server = EmulatorServer("127.0.0.1", 0, ApiMiddleware(intercom, _not_found))
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        with Redis.from_url(redis_url) as redis:
            yield IntercomServer(intercom, f"http://127.0.0.1:{server.server_port}", redis)
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def _not_found(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Length", "0")])
    return [b""]
