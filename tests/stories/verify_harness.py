"""An emulated workspace, its API on a port, and a mirror of it: both sides of a verification, in one process."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import text

from emulator.api.api_middleware import ApiMiddleware
from emulator.api.http_server import EmulatorServer
from emulator.api.intercom_emulator import IntercomEmulator
from emulator.emulated_notification import EmulatedNotification
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.simulation import Simulation
from emulator.workspace import EmulatedWorkspace
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.governor import Governor
from intercom_api.rate_limit.lanes import Lane
from models.db.engine import read_engine, transaction
from tests.stories.drain_harness import DrainHarness, open_harness
from workers.facts.from_fetch import Fetch
from workers.inbox.backlog import measure_backlog
from workers.refetch.dirty_objects import refetch_dirty
from workers.refetch.fetch_object import intercom_fetch
from workers.sync import runs
from workers.sync.run_worker import RunWorker, SyncContext
from workers.verify import Mode, VerifyContext, VerifyOutcome, verify

WORKSPACE = "demo0001"
_DAY = 86_400
# Seconds that a backfill of a few objects may take.
_BACKFILL_SECONDS = 60.0

Action = Callable[[EmulatedWorkspace], list[EmulatedNotification]]


class VerifyHarness:
    """
    Changes the workspace, delivers or loses the notifications, and verifies the mirror.

    When a verification waits, its clock advances and the worker does what is due.
    """

    def __init__(
        self, drain_harness: DrainHarness, engine: Simulation, intercom: IntercomEmulator, url: str, reader: Any
    ) -> None:
        self.drain_harness = drain_harness
        self.emulator = engine
        self.workspace = engine.workspace
        self.intercom = intercom
        self.now = 0.0
        self.due = datetime.now(UTC)
        self.is_paused = False
        # Called whenever a verification waits.
        self.on_wait: Callable[[], object] = lambda: None
        governor = Governor(drain_harness.redis)
        self.client = IntercomClient(
            "dev-token-demo0001",
            url,
            version="2.16",
            governor=governor,
            app="development",
            workspace_id=WORKSPACE,
            lane=Lane.RECONCILE,
        )
        self.fetch: Fetch = intercom_fetch(lambda _workspace, _lane: self.client)
        self.context = VerifyContext(
            reader=reader,
            writer=drain_harness.engine,
            client=self.client,
            fetch=self.fetch,
            inbox_age=lambda: measure_backlog(drain_harness.redis).oldest_seconds,
            clock=lambda: self.now,
            sleep=self._pass,
        )

    def act(self, action: Action, *, lost: bool = False) -> list[EmulatedNotification]:
        """Change the workspace; append the notifications to the inbox, or lose them."""
        notifications = self.emulator.lock and action(self.workspace)
        if not lost:
            self.drain_harness.append(*(each.body for each in notifications))
        return notifications

    def work(self) -> None:
        """Drain the inbox and refetch dirty objects, unless the worker is paused."""
        if self.is_paused:
            return
        self.drain_harness.drain()
        # Refetches that failed are due again.
        self.due += timedelta(days=1)
        while refetch_dirty(self.drain_harness.engine, self.context.fetch, self.due):
            pass

    def backfill(self) -> None:
        """Run a backfill of the whole workspace."""
        self.work()
        context = SyncContext(
            self.drain_harness.engine, self.context.reader, lambda *_: self.client, lambda *_: True, threads=4
        )
        run_worker = RunWorker(context)
        number = runs.enqueue(self.drain_harness.engine, WORKSPACE, "backfill", "command", datetime.now(UTC))
        run_worker.work(time.monotonic() + _BACKFILL_SECONDS, {number})
        run_worker.close()
        assert runs.read_run(self.drain_harness.engine, number)["state"] == "done"
        self.work()

    def wait_a_day(self) -> None:
        """Advance Intercom's clock by a day, so that no search returns the present objects as recent."""
        self.intercom.change({"clock_shift_seconds": _DAY})
        self.client.me()

    def verify(self, mode: Mode = "full", *, repair: bool = False) -> VerifyOutcome:
        """Verify the mirror."""
        return verify(self.context, WORKSPACE, mode, repair=repair)

    def differences(self, mode: Mode = "full") -> dict[str, tuple[str, tuple[str, ...]]]:
        """Verify, and return the differences: kind and fields by id."""
        outcome = self.verify(mode)
        assert outcome.reasons == []
        return {each.object_id: (each.kind, each.fields) for each in outcome.differences}

    def context_with(self, **other: Any) -> VerifyContext:
        """Return the context with some fields replaced."""
        return replace(self.context, **other)

    def row(self, table: str, object_id: str) -> dict[str, Any]:
        """Return an object's row."""
        [row] = self.drain_harness.rows(f"SELECT * FROM {table} WHERE id = '{object_id}'")  # noqa: S608 -- ours
        return row

    def verify_result(self, object_type: str) -> str:
        """Return the result of the last verification from sync_status."""
        query = f"SELECT last_verify_result FROM sync_status WHERE object_type = '{object_type}'"  # noqa: S608 -- ours
        return str(self.drain_harness.one(query))

    def execute(self, statement: str, **values: Any) -> None:
        """Change rows directly in the database; at least one must change."""
        with transaction(self.drain_harness.engine) as connection:
            assert connection.execute(text(statement), values).rowcount

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.on_wait()
        self.work()


@contextmanager
def open_verify_harness(redis_url: str, database_url: str, timezone: str = "Etc/UTC") -> Iterator[VerifyHarness]:
    """Open a harness with a mirror of a workspace in this time zone, whose objects are a day old."""
    workspace = EmulatedWorkspace(WORKSPACE, timezone=timezone)
    engine = Simulation(workspace, NotificationSender(WebhookTarget("http://127.0.0.1:9/", "secret")), rate=0)
    intercom = IntercomEmulator([engine])
    server = EmulatorServer("127.0.0.1", 0, ApiMiddleware(intercom, _not_found))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    reader = read_engine(database_url)
    try:
        with open_harness(redis_url, database_url) as drain_harness:
            harness = VerifyHarness(
                drain_harness, engine, intercom, f"http://127.0.0.1:{server.server_port}/us", reader
            )
            populate(harness)
            harness.backfill()
            harness.wait_a_day()
            harness.work()
            yield harness
    finally:
        reader.dispose()
        server.shutdown()
        thread.join()
        server.server_close()


def _not_found(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Length", "0")])
    return [b""]


def populate(harness: VerifyHarness) -> None:
    """Create some objects of every type without notifications, so that only a backfill finds them."""
    space = harness.workspace
    for number in range(3):
        space.create_company({"company_id": f"acme-{number}", "name": f"Acme {number}", "size": 10 * number})
    for number in range(8):
        role = "user" if number % 2 else "lead"
        space.create_contact(role, {"email": f"p{number}@example.test", "name": f"Person {number}"})
    tags = [space.create_tag(name) for name in ("vip", "beta")]
    contacts, companies = list(space.contacts), list(space.companies)
    for number, contact_id in enumerate(contacts):
        space.attach(contact_id, companies[number % 3])
        space.tag(contact_id, tags[number % 2])
    space.tag_company(companies[0], tags[0])
