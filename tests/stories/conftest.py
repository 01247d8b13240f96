"""An emulated Intercom with its API on a port, for stories about connections."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from emulator.api.intercom_emulator import IntercomEmulator
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.random_activity import populate
from emulator.simulation import Simulation
from emulator.web_app import make_emulator_server
from emulator.workspace import EmulatedWorkspace
from settings.environment import DEVELOPMENT_CLIENT_SECRET
from tests.stories.connect_site import surroundings
from workers.connections import registry


class EmulatedIntercom:
    """
    Intercom with three workspaces: demo0001 (US), demo0002 (EU), demo0003 (AU).

    `intercom` can be used in Python; nothing happens in the workspaces by itself. `wakeups`: the wake-ups that the
    product sent.
    """

    def __init__(self, intercom: IntercomEmulator, port: int) -> None:
        self.intercom = intercom
        self.port = port
        self.wakeups: list[str] = []


@pytest.fixture(scope="module")
def emulated_intercom() -> Iterator[EmulatedIntercom]:
    """Run it for a module's tests; its callbacks go nowhere."""
    engines = []
    for number, region in enumerate(("US", "EU", "AU"), start=1):
        workspace = EmulatedWorkspace(f"demo000{number}", region=region, timezone="Europe/Dublin")
        populate(workspace, contacts=5, companies=2)
        route = WebhookTarget("http://127.0.0.1:9/webhooks/intercom", DEVELOPMENT_CLIENT_SECRET)
        engines.append(Simulation(workspace, NotificationSender(route), rate=0))
    intercom = IntercomEmulator(engines)
    server = make_emulator_server(engines[0], 0, intercom)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield EmulatedIntercom(intercom, server.server_port)
    server.shutdown()
    server.server_close()


@pytest.fixture
def site(
    emulated_intercom: EmulatedIntercom,
    redis_url: str,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[EmulatedIntercom]:
    """Configure this process for the emulated Intercom, with development credentials; all its tokens are valid."""
    with _configured(emulated_intercom, redis_url, database_url, tmp_path, monkeypatch) as made:
        yield made


@pytest.fixture
def sqlite_site(
    emulated_intercom: EmulatedIntercom,
    redis_url: str,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[EmulatedIntercom]:
    """The same, on SQLite only."""
    with _configured(emulated_intercom, redis_url, sqlite_url, tmp_path, monkeypatch) as made:
        yield made


@contextmanager
def _configured(
    emulated_intercom: EmulatedIntercom,
    redis_url: str,
    database_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[EmulatedIntercom]:
    # No worker runs.
    emulated_intercom.wakeups.clear()
    monkeypatch.setattr(registry, "wake_sync", lambda: emulated_intercom.wakeups.append("sync"))
    for number in (1, 2, 3):
        emulated_intercom.intercom.access_tokens.restore(f"dev-token-demo000{number}")
    with surroundings(
        monkeypatch,
        tmp_path,
        REDIS_URL=redis_url,
        DATABASE_URL=database_url,
        EMULATOR_PORT=str(emulated_intercom.port),
        PUBLIC_URL="http://127.0.0.1:8000",
    ):
        yield emulated_intercom


@pytest.fixture
def fresh() -> str:
    """A value that no other test uses for a contact: the emulated Intercom is shared by a module."""
    return uuid4().hex
