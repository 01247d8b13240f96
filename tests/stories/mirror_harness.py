"""A mirror of an emulated workspace, with what reads and applies it, in the process of a test."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from redis import Redis
from sqlalchemy import insert

from emulator.api.api_middleware import ApiMiddleware
from emulator.api.http_server import EmulatorServer
from emulator.api.intercom_emulator import IntercomEmulator
from emulator.emulated_notification import EmulatedNotification
from emulator.network_faults import NetworkFaults
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.simulation import Simulation
from emulator.workspace import EmulatedWorkspace
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.governor import Governor
from intercom_api.rate_limit.lanes import Lane
from models.db.engine import read_engine, transaction
from models.tables.internal_tables import connections, workspaces
from tests.long.torture.table_comparison import differences
from tests.stories.drain_harness import DrainHarness, open_harness
from workers.refetch.dirty_objects import refetch_dirty
from workers.refetch.fetch_object import intercom_fetch
from workers.sync import runs
from workers.sync.run_worker import RunWorker, SyncContext

WORKSPACE = "ws000001"
# Seconds that a run may take.
_PATIENCE = 60.0


class MirrorHarness:
    """
    An emulated workspace with its API, and a mirror of it.

    Attributes:
        refused: the reasons that `disconnect` was called with.
    """

    def __init__(self, intercom: IntercomEmulator, url: str, harness: DrainHarness, redis: Redis) -> None:
        self.intercom, self.url, self.harness = intercom, url, harness
        self.workspace: EmulatedWorkspace = intercom.workspace_apis[WORKSPACE].workspace
        self.reader = read_engine(str(harness.engine.url.render_as_string(hide_password=False)))
        self.governor = Governor(redis)
        self.refused: list[str] = []
        self.token = f"dev-token-{WORKSPACE}"
        self.sync = self.new_sync()

    def new_sync(self, threads: int = 4) -> RunWorker:
        """Return a worker as another process has one, with a lease of its own."""
        return RunWorker(SyncContext(self.harness.engine, self.reader, self.client_of, self._disconnect, threads))

    def client_of(self, workspace_id: str, lane: Lane) -> IntercomClient | None:
        return IntercomClient(
            self.token,
            f"{self.url}/us",
            version="2.16",
            governor=self.governor,
            app="app",
            workspace_id=workspace_id,
            lane=lane,
        )

    def _disconnect(self, _workspace_id: str, reason: str) -> bool:
        self.refused.append(reason)
        return True

    def deliver(self, *notifications_by_action: list[EmulatedNotification]) -> None:
        """Append the notifications of actions to the inbox, and drain it."""
        self.harness.append(*(each.body for notifications in notifications_by_action for each in notifications))
        self.harness.drain()

    def pass_time(self, seconds: float) -> None:
        """Advance the clock of the emulated Intercom."""
        self.intercom.change({"clock_shift_seconds": self.intercom.switches.clock_shift_seconds + seconds})
        self.intercom.workspace_apis[WORKSPACE].clock.shift_ms = round(
            self.intercom.switches.clock_shift_seconds * 1000
        )

    def enqueue(self, kind: str, *, full: bool = False) -> int:
        """Enqueue a run; returns its number."""
        return runs.enqueue(self.harness.engine, WORKSPACE, kind, "command", datetime.now(UTC), full=full)

    def work(self, run_id: int, sync: RunWorker | None = None) -> dict[str, Any]:
        """Work until a run has ended, and return its row."""
        until = time.monotonic() + _PATIENCE
        while (row := runs.read_run(self.harness.engine, run_id))["state"] in ("queued", "running"):
            assert time.monotonic() < until, row
            (sync or self.sync).work(time.monotonic() + 0.5)
        return row

    def run(self, kind: str, *, full: bool = False) -> dict[str, Any]:
        """Enqueue a run, work until it has ended, and refetch dirty objects."""
        row = self.work(self.enqueue(kind, full=full))
        self.refetch_all()
        return row

    def refetch_all(self) -> None:
        """Refetch dirty objects until none is due, with a clock that advances by an hour each round."""
        fetch, now = intercom_fetch(self.client_of), datetime.now(UTC)
        for _ in range(12):
            while refetch_dirty(self.harness.engine, fetch, now):
                pass
            now += timedelta(hours=1)

    def differences(self) -> list[Any]:
        """Return the differences between the tables and the workspace."""
        truth = self.workspace.truth()
        found: list[Any] = list(differences(self.harness.engine, truth, frozenset()))
        expected = {f"{c['id']} {other}" for c in truth["contacts"].values() for other in c["_segment_ids"]}
        there = {
            f"{row['contact_id']} {row['segment_id']}"
            for row in self.harness.rows("SELECT contact_id, segment_id FROM contact_segments")
        }
        found += [("contact_segments", pair, "differs") for pair in sorted(expected ^ there)]
        return [each for each in found if not self._cannot_be_known(*each)]

    def _cannot_be_known(self, table: str, ids: str, what: str) -> bool:
        """Return whether no list shows it: a company without contacts, or the merge of an unknown contact."""
        if (table, what) == ("companies", "is missing"):
            return not self.workspace.companies[ids].contact_ids
        if (table, what) == ("contact_redirects", "is missing"):
            return not self.harness.rows(f"SELECT 1 FROM object_states WHERE object_id = '{ids.split(maxsplit=1)[0]}'")  # noqa: S608
        return False

    def connect(self, at: datetime) -> None:
        """Insert the rows of a connection."""
        with transaction(self.harness.engine) as connection:
            connection.execute(insert(workspaces).values(workspace_id=WORKSPACE))
            connection.execute(
                insert(connections).values(
                    workspace_id=WORKSPACE, user_id="u", app="app", token=b"x", status="connected", connected_at=at
                )
            )

    def close(self) -> None:
        self.sync.close()
        self.reader.dispose()


def _not_found(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [])
    return [b""]


@contextmanager
def open_mirror(
    redis_url: str, database_url: str, workspace: EmulatedWorkspace | None = None
) -> Iterator[MirrorHarness]:
    """Open an emulated workspace that sends no notifications by itself, and an empty mirror of it."""
    workspace = workspace or EmulatedWorkspace(WORKSPACE)
    sender = NotificationSender(WebhookTarget("http://127.0.0.1:9/", "secret"), NetworkFaults(loss=1.0))
    intercom = IntercomEmulator([Simulation(workspace, sender)])
    server = EmulatorServer("127.0.0.1", 0, ApiMiddleware(intercom, _not_found))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        with open_harness(redis_url, database_url) as harness:
            opened = MirrorHarness(intercom, f"http://127.0.0.1:{server.server_port}", harness, harness.redis)
            try:
                yield opened
            finally:
                opened.close()
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def count(harness: DrainHarness, table: str) -> int:
    """Count a table's rows."""
    return int(harness.one(f"SELECT COUNT(*) FROM {table}"))  # noqa: S608 -- table names of the tests
