"""Workflows at work in one process: a folder of files, the feed, and a pretended Intercom that counts messages."""

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
from workers.runtime import process
from workers.workflows import worker
from workers.workflows.engine import history
from workers.workflows.engine.execute_step import ApplicationReply, WorkflowContext
from workers.workflows.engine.executor import DatabaseEngines, RunExecutor
from workers.workflows.files import WorkflowLibrary
from workers.workflows.triggers import starter

WORKSPACE = "demo0001"

# Seconds for which the workspace has been connected when a story begins: longer than clocks differ.
CONNECTED_FOR = 60


class Told(list[dict[str, Any]]):
    """What an application was posted: url, body, headers; `answers` are what it says to it, one after the other."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[ApplicationReply | Exception] = []

    def post(self, url: str, body: bytes, headers: Any) -> ApplicationReply:
        self.append({"url": url, "body": body.decode(), "headers": dict(headers)})
        answer = self.answers.pop(0) if self.answers else ApplicationReply(200, {"ok": True})
        if isinstance(answer, Exception):
            raise answer
        return answer


class Works:
    """A process `workflows`, which can die and come back, and time that can be moved on."""

    def __init__(self, site: EmulatedIntercom, directory: Path, stack: ExitStack) -> None:
        self.directory = directory
        self.tenant = site.intercom.workspace_apis[WORKSPACE]
        self.workspace = self.tenant.workspace
        self.told = Told()
        self.ahead = 0.0
        self.settings: dict[str, Any] = {"app_url": "https://app.example.test", "app_key": "s3cret-key"}
        self._site, self._stack = site, stack
        ApiUser("u-1", WORKSPACE)
        self.change("UPDATE connections SET connected_at = :at", at=datetime.now(UTC).timestamp() - CONNECTED_FOR)
        self.tools: WorkflowContext = worker.workflow_context()._replace(post=self.told.post)
        self.begin()

    def begin(self) -> None:
        """Start the process; an earlier one is gone with all that it had in hand."""
        engines = DatabaseEngines(process.reader(), process.engine())
        self.library = WorkflowLibrary(self.directory, self.settings)
        self.worker = RunExecutor(engines, self.tools, self.settings, clock=lambda: time.time() + self.ahead)
        self._stack.callback(self.worker.close)

    def file(self, content: str, name: str = "flow") -> None:
        """Write a file and have it read."""
        (self.directory / f"{name}.yaml").write_text(content)
        self.library.active(process.engine(), datetime.now(UTC))

    def hear(self, told: Iterable[EmulatedNotification], source: str = "webhook") -> None:
        """Have notifications arrive and be applied."""
        with open_harness(get_settings().redis_url, get_settings().database_url) as harness:
            harness.append(*(each.body for each in told))
            harness.drain()
        if source != "webhook":
            newest = "(SELECT max(seq) FROM changes)"
            self.change(f"UPDATE changes SET source = :source WHERE seq = {newest}", source=source)  # noqa: S608 -- ours

    def user(self, **values: Any) -> str:
        """Create a user in Intercom, whose notification arrives; returns the id."""
        return self.made(lambda: self.workspace.create_contact("user", values))

    def made(self, act: Callable[[], list[EmulatedNotification]]) -> str:
        """Let something be created and told of."""
        before = set(self.workspace.contacts)
        self.hear(act())
        [made] = set(self.workspace.contacts) - before
        return made

    def retell(self, *ids: str) -> None:
        """Have Intercom tell of these contacts as they are now."""
        self.hear(each for each in self.workspace.current_notifications() if each.object_id in ids)

    def start(self) -> None:
        """Look at the feed until nothing new is in it."""
        now = datetime.now(UTC)
        workflows = self.library.active(process.engine(), now)
        while starter.start_runs(process.reader(), process.engine(), workflows, now):
            pass
        starter.release_held_runs(process.reader(), process.engine(), now)

    def work(self) -> None:
        """Look at the feed, and do all that is due."""
        self.start()
        self.worker.run_until(time.monotonic() + 30)

    def wait(self, seconds: float) -> None:
        """Let time pass for the process."""
        self.ahead += seconds

    def let_time_pass(self) -> None:
        """Let every rest be over, and what a dead process held be free; no clock is moved on."""
        self.change("UPDATE workflow_steps SET due_at = started_at WHERE state IN ('waiting', 'retry')")
        self.change("UPDATE workflow_runs SET due_at = started_at")
        self.change("UPDATE workflow_runs SET lease_until = started_at WHERE lease_until IS NOT NULL")
        self.change("UPDATE action_keys SET lease_until = began_at")

    def change(self, statement: str, **values: Any) -> None:
        """Change a table behind everybody's back; numbers called `at` are moments in unix seconds."""
        if "at" in values:
            moment = datetime.fromtimestamp(values["at"], UTC)
            is_sqlite = process.engine().dialect.name == "sqlite"
            values["at"] = moment.strftime("%Y-%m-%d %H:%M:%S.%f") if is_sqlite else moment
        with transaction(process.engine()) as connection:
            connection.execute(text(statement), values)

    def runs(self) -> list[tuple[Any, ...]]:
        """Return workflow and state of every run, oldest first."""
        return rows("SELECT workflow, state FROM workflow_runs ORDER BY id")

    def states(self) -> list[str]:
        return [state for _, state in self.runs()]

    def steps(self, run: int | None = None) -> dict[str, dict[str, Any]]:
        """Return the steps of a run, the newest one if none is named, by their names."""
        number = run or rows("SELECT max(id) FROM workflow_runs")[0][0]
        found = history.find_run(process.reader(), number)
        assert found is not None
        return {step["step"]: step for step in found[1]}

    def messages_to(self, contact_id: str) -> list[str]:
        return [each.body for each in self.tenant.messages if each.contact_id == contact_id]

    def having(self, external_id: str) -> list[str]:
        """Return the ids of Intercom's contacts with this external id."""
        contacts = self.workspace.contacts.values()
        return [each.id for each in contacts if each.values["external_id"] == external_id]
