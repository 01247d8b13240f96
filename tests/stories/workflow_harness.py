"""Workflows in one process: a directory of files, the feed, and an emulated Intercom that counts messages."""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from emulator.emulated_notification import EmulatedNotification
from models.db.engine import transaction
from settings import get_settings
from tests.stories.api_user import ApiUser
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows
from tests.stories.drain_harness import open_harness
from workers.runtime import process_resources
from workers.workflows import workflow_worker
from workers.workflows.engine import manage_runs
from workers.workflows.engine.execute_step import ApplicationReply, WorkflowContext
from workers.workflows.engine.executor import DatabaseEngines, RunExecutor
from workers.workflows.files import WorkflowLibrary
from workers.workflows.triggers import starter

WORKSPACE = "demo0001"

# Seconds since the workspace was connected when a test begins: longer than clocks differ.
CONNECTED_FOR = 60


class FakeApplication(list[dict[str, Any]]):
    """
    An application that HTTP steps call.

    It is the list of its requests (url, body, headers); `replies` are its responses, one after the other.
    """

    def __init__(self) -> None:
        super().__init__()
        self.replies: list[ApplicationReply | Exception] = []

    def post(self, url: str, body: bytes, headers: Any) -> ApplicationReply:
        self.append({"url": url, "body": body.decode(), "headers": dict(headers)})
        reply = self.replies.pop(0) if self.replies else ApplicationReply(200, {"ok": True})
        if isinstance(reply, Exception):
            raise reply
        return reply


class WorkflowHarness:
    """A process `workflows` that can crash and start again, and a clock that can be advanced."""

    def __init__(self, site: EmulatedIntercom, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.tenant = site.intercom.workspace_apis[WORKSPACE]
        self.workspace = self.tenant.workspace
        self.application = FakeApplication()
        self.seconds_ahead = 0.0
        self.settings: dict[str, Any] = {"app_url": "https://app.example.test", "app_key": "s3cret-key"}
        self._site, self._stack = site, stack
        ApiUser("u-1", WORKSPACE)
        self.execute("UPDATE connections SET connected_at = :at", at=datetime.now(UTC).timestamp() - CONNECTED_FOR)
        self.context: WorkflowContext = workflow_worker.workflow_context()._replace(post=self.application.post)
        self.start_process()

    def start_process(self) -> None:
        """Start the process; the memory of an earlier one is lost."""
        engines = DatabaseEngines(process_resources.reader(), process_resources.engine())
        self.library = WorkflowLibrary(self.directory, self.settings)
        self.worker = RunExecutor(engines, self.context, self.settings, clock=lambda: time.time() + self.seconds_ahead)
        self._stack.callback(self.worker.close)

    def write_file(self, content: str, name: str = "flow") -> None:
        """Write a workflow file and read the directory again."""
        (self.directory / f"{name}.yaml").write_text(content)
        self.library.active(process_resources.engine(), datetime.now(UTC))

    def receive(self, notifications: Iterable[EmulatedNotification], source: str = "webhook") -> None:
        """Put notifications into the inbox and apply them; `source` replaces the source of the last change."""
        with open_harness(get_settings().redis_url, get_settings().database_url) as harness:
            harness.append(*(each.body for each in notifications))
            harness.drain()
        if source != "webhook":
            newest = "(SELECT max(seq) FROM changes)"
            self.execute(f"UPDATE changes SET source = :source WHERE seq = {newest}", source=source)  # noqa: S608 -- ours

    def create_user(self, **values: Any) -> str:
        """Create a user in Intercom and apply its notification; return the id."""
        return self.create_contact(lambda: self.workspace.create_contact("user", values))

    def create_contact(self, create: Callable[[], list[EmulatedNotification]]) -> str:
        """Call `create` and apply its notifications; return the id of the new contact."""
        before = set(self.workspace.contacts)
        self.receive(create())
        [contact_id] = set(self.workspace.contacts) - before
        return contact_id

    def resend(self, *ids: str) -> None:
        """Apply notifications with the present state of these contacts."""
        self.receive(each for each in self.workspace.current_notifications() if each.object_id in ids)

    def start_runs(self) -> None:
        """Start runs until the feed has no further changes."""
        now = datetime.now(UTC)
        workflows = self.library.active(process_resources.engine(), now)
        while starter.start_runs(process_resources.reader(), process_resources.engine(), workflows, now):
            pass
        starter.release_held_runs(process_resources.reader(), process_resources.engine(), now)

    def work(self) -> None:
        """Start runs, and execute all that are due."""
        self.start_runs()
        self.worker.run_until(time.monotonic() + 30)

    def advance_clock(self, seconds: float) -> None:
        """Advance the clock of the process."""
        self.seconds_ahead += seconds

    def end_delays_and_leases(self) -> None:
        """End all delays of steps, and all leases of crashed processes, without advancing the clock."""
        self.execute("UPDATE workflow_steps SET due_at = started_at WHERE state IN ('waiting', 'retry')")
        self.execute("UPDATE workflow_runs SET due_at = started_at")
        self.execute("UPDATE workflow_runs SET lease_until = started_at WHERE lease_until IS NOT NULL")
        self.execute("UPDATE action_keys SET lease_until = began_at")

    def execute(self, statement: str, **values: Any) -> None:
        """Execute a statement directly in the database; a value called `at` is a time in unix seconds."""
        if "at" in values:
            moment = datetime.fromtimestamp(values["at"], UTC)
            is_sqlite = process_resources.engine().dialect.name == "sqlite"
            values["at"] = moment.strftime("%Y-%m-%d %H:%M:%S.%f") if is_sqlite else moment
        with transaction(process_resources.engine()) as connection:
            connection.execute(text(statement), values)

    def runs(self) -> list[tuple[Any, ...]]:
        """Return workflow and state of every run, oldest first."""
        return rows("SELECT workflow, state FROM workflow_runs ORDER BY id")

    def states(self) -> list[str]:
        return [state for _, state in self.runs()]

    def steps(self, run: int | None = None) -> dict[str, dict[str, Any]]:
        """Return the steps of a run by their ids; of the newest run by default."""
        number = run or rows("SELECT max(id) FROM workflow_runs")[0][0]
        found = manage_runs.find_run(process_resources.reader(), number)
        assert found is not None
        return {step["step"]: step for step in found[1]}

    def messages_to(self, contact_id: str) -> list[str]:
        return [each.body for each in self.tenant.messages if each.contact_id == contact_id]

    def contacts_with(self, external_id: str) -> list[str]:
        """Return the ids of Intercom's contacts with this external id."""
        contacts = self.workspace.contacts.values()
        return [each.id for each in contacts if each.values["external_id"] == external_id]
