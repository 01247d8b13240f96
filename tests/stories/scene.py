"""A pretend workspace, its API on a port, and a mirror of it: both sides of a verification, without other processes."""

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
from workers.sync import runs, worker
from workers.verify import Mode, VerifyContext, VerifyOutcome, verify

WORKSPACE = "demo0001"
_DAY = 86_400
# Seconds that a backfill of a handful of objects may take.
_SOON = 60.0

Action = Callable[[EmulatedWorkspace], list[EmulatedNotification]]


class Scene:
    """
    Acts in the workspace, delivers or loses what it tells, and verifies.

    Time passes where a verification waits: its clock moves on, and the worker does what it owes.
    """

    def __init__(
        self, harness: DrainHarness, engine: Simulation, intercom: IntercomEmulator, url: str, reader: Any
    ) -> None:
        self.harness = harness
        self.emulator = engine
        self.workspace = engine.workspace
        self.intercom = intercom
        self.now = 0.0
        self.due = datetime.now(UTC)
        self.asleep = False
        # Called each time that a verification waits.
        self.meanwhile: Callable[[], object] = lambda: None
        governor = Governor(harness.redis)
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
        self.tools = VerifyContext(
            reader=reader,
            writer=harness.engine,
            client=self.client,
            fetch=self.fetch,
            inbox_age=lambda: measure_backlog(harness.redis).oldest_seconds,
            clock=lambda: self.now,
            sleep=self._pass,
        )

    def act(self, action: Action, *, lost: bool = False) -> list[EmulatedNotification]:
        """Let something happen; what it tells waits in the inbox, or is lost."""
        told = self.emulator.lock and action(self.workspace)
        if not lost:
            self.harness.append(*(each.body for each in told))
        return told

    def work(self) -> None:
        """Do all that a worker owes, unless it sleeps."""
        if self.asleep:
            return
        self.harness.drain()
        # Those that were asked for in vain are due again.
        self.due += timedelta(days=1)
        while refetch_dirty(self.harness.engine, self.tools.fetch, self.due):
            pass

    def backfill(self) -> None:
        """Fill the mirror with everything that the workspace holds."""
        self.work()
        tools = worker.SyncContext(
            self.harness.engine, self.tools.reader, lambda *_: self.client, lambda *_: True, threads=4
        )
        harness = worker.RunWorker(tools)
        number = runs.enqueue(self.harness.engine, WORKSPACE, "backfill", "command", datetime.now(UTC))
        harness.work(time.monotonic() + _SOON, {number})
        harness.close()
        assert runs.read_run(self.harness.engine, number)["state"] == "done"
        self.work()

    def wait_a_day(self) -> None:
        """Let Intercom's time go on, so that what is there is no news to any search."""
        self.intercom.change({"clock_shift_seconds": _DAY})
        self.client.me()

    def verify(self, mode: Mode = "full", *, repair: bool = False) -> VerifyOutcome:
        """Verify."""
        return verify(self.tools, WORKSPACE, mode, repair=repair)

    def found(self, mode: Mode = "full") -> dict[str, tuple[str, tuple[str, ...]]]:
        """Verify, and return what differs: kind and fields by id."""
        outcome = self.verify(mode)
        assert outcome.reasons == []
        return {each.object_id: (each.kind, each.fields) for each in outcome.differences}

    def tools_with(self, **other: Any) -> VerifyContext:
        """Return the tools with some of them exchanged."""
        return replace(self.tools, **other)

    def row(self, table: str, object_id: str) -> dict[str, Any]:
        """Return an object's row."""
        [row] = self.harness.rows(f"SELECT * FROM {table} WHERE id = '{object_id}'")  # noqa: S608 -- ours
        return row

    def one_mark(self, object_type: str) -> str:
        """Return what sync_status says of the last verification."""
        query = f"SELECT last_verify_result FROM sync_status WHERE object_type = '{object_type}'"  # noqa: S608 -- ours
        return str(self.harness.one(query))

    def damage(self, statement: str, **values: Any) -> None:
        """Change the tables behind the mirror's back."""
        with transaction(self.harness.engine) as connection:
            assert connection.execute(text(statement), values).rowcount

    def _pass(self, seconds: float) -> None:
        self.now += seconds
        self.meanwhile()
        self.work()


@contextmanager
def scene_at(redis_url: str, database_url: str, timezone: str = "Etc/UTC") -> Iterator[Scene]:
    """Set a scene, in a workspace of this time zone whose objects are a day old, and an empty mirror."""
    workspace = EmulatedWorkspace(WORKSPACE, timezone=timezone)
    engine = Simulation(workspace, NotificationSender(WebhookTarget("http://127.0.0.1:9/", "secret")), rate=0)
    intercom = IntercomEmulator([engine])
    server = EmulatorServer("127.0.0.1", 0, ApiMiddleware(intercom, _nothing))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    reader = read_engine(database_url)
    try:
        with open_harness(redis_url, database_url) as harness:
            scene = Scene(harness, engine, intercom, f"http://127.0.0.1:{server.server_port}/us", reader)
            populate(scene)
            scene.backfill()
            scene.wait_a_day()
            scene.work()
            yield scene
    finally:
        reader.dispose()
        server.shutdown()
        thread.join()
        server.server_close()


def _nothing(_environ: Any, start_response: Any) -> list[bytes]:
    start_response("404 Not Found", [("Content-Length", "0")])
    return [b""]


def populate(scene: Scene) -> None:
    """Make some of everything, which nobody tells of: only the backfill can find it."""
    space = scene.workspace
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
