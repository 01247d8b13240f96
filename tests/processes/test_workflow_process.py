"""The process `workflows`, killed while it works, on both databases."""

import os
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Thread

import pytest
from celery import Celery
from sqlalchemy import text

from emulator.api.api_middleware import ApiMiddleware
from emulator.api.http_server import EmulatorServer
from emulator.api.intercom_emulator import IntercomEmulator
from emulator.api.workspace_api import WorkspaceApi
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.simulation import Simulation
from emulator.workspace import EmulatedWorkspace
from models.db.engine import write_engine
from settings import addresses
from settings.environment import DEVELOPMENT_CLIENT_SECRET
from tests.long.torture.processes import ManagedProcess, environment, procfile
from tests.processes.test_worker import Deployment, wait_until
from tests.stories.intercom_server import _not_found
from workers.runtime.redis_keys import INBOX
from workers.runtime.task_names import CONNECTIONS_TASK, QUEUES, WORKFLOWS_TASK

WORKSPACE = "demo0001"

FLOW = """\
name: twin
trigger: {on: contact.created}
steps:
  - id: create
    action: create-contact
    with: {role: user, external_id: "twin-of-{{ record.id }}"}
  - id: greet
    action: send-message
    with: {contact_id: "{{ steps.create.contact.id }}", body: Hello}
"""


class WorkflowDeployment(Deployment):
    """A deployment with an emulated Intercom, and a process `workflows` that is woken up and killed."""

    def __init__(self, directory: Path, redis_url: str, database_url: str) -> None:
        super().__init__(directory, redis_url, database_url)
        engine = Simulation(
            EmulatedWorkspace(WORKSPACE),
            NotificationSender(WebhookTarget("http://127.0.0.1:9/", DEVELOPMENT_CLIENT_SECRET)),
            rate=0,
        )
        self.intercom = IntercomEmulator([engine])
        self.tenant: WorkspaceApi = self.intercom.workspace_apis[WORKSPACE]
        self.server = EmulatorServer("127.0.0.1", 0, ApiMiddleware(self.intercom, _not_found))
        Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()
        (directory / "flows").mkdir()
        self._app = Celery(broker=addresses.celery_broker_url(redis_url))
        self._variables = environment(
            REDIS_URL=redis_url,
            DATABASE_URL=database_url,
            LOG_FORMAT="json",
            EMULATOR_PORT=str(self.server.server_port),
            WORKFLOWS_DIR=str(directory / "flows"),
        )
        self.writer = write_engine(database_url)
        self.directory = directory

    def write_file(self, content: str) -> None:
        (self.directory / "flows" / "flow.yaml").write_text(content)

    def start_workflows(self) -> ManagedProcess:
        """Start the process and wait until it accepts messages."""
        process = ManagedProcess("workflows", procfile()["workflows"], self._variables, self.directory)
        log_size = process.log.stat().st_size if process.log.exists() else 0
        process.start()
        wait_until(lambda: " ready." in process.log.read_text()[log_size:], 30)
        return process

    def wake_workflows(self) -> None:
        self._app.send_task(WORKFLOWS_TASK, queue=QUEUES[WORKFLOWS_TASK], ignore_result=True)

    def connect(self) -> None:
        """Connect the demo user, as if it were a minute ago."""
        self._app.send_task(CONNECTIONS_TASK, queue=QUEUES[CONNECTIONS_TASK], ignore_result=True)
        wait_until(lambda: self.rows("connections") == 1, 20)
        self.execute("UPDATE connections SET connected_at = :at", at=datetime.now(UTC) - timedelta(minutes=1))

    def execute(self, statement: str, **values: object) -> None:
        if self.engine.dialect.name == "sqlite":
            values = {name: str(value)[:26] if isinstance(value, datetime) else value for name, value in values.items()}
        with self.writer.begin() as connection:
            connection.execute(text(statement), values)

    def states(self) -> list[str]:
        """Return the states of all runs, except those started by the workflow's own changes."""
        query = "SELECT state FROM workflow_runs WHERE state NOT IN ('held', 'ignored') ORDER BY id"
        with self.engine.connect() as connection:
            return list(connection.execute(text(query)).scalars())

    def ended(self, at_least: int) -> bool:
        return sum(state != "queued" for state in self.states()) >= at_least

    def create(self, count: int) -> list[str]:
        """Create users in Intercom and append their notifications to the inbox; return the ids."""
        before = set(self.tenant.workspace.contacts)
        for number in range(count):
            for notification in self.tenant.workspace.create_contact("user", {"name": f"Person {number}"}):
                self.redis.xadd(INBOX, {"b": notification.body, "t": int(time.time() * 1000)})
        self.send_doorbell()
        return [each for each in self.tenant.workspace.contacts if each not in before]

    def twins(self, contact_id: str) -> list[str]:
        contacts = list(self.tenant.workspace.contacts.values())
        return [each.id for each in contacts if each.values["external_id"] == f"twin-of-{contact_id}"]

    def messages_to(self, contact_id: str) -> int:
        return sum(each.contact_id == contact_id for each in self.tenant.messages)

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.writer.dispose()
        self._app.close()
        super().close()


@pytest.fixture
def deployment(tmp_path: Path, redis_url: str, database_url: str) -> Iterator[WorkflowDeployment]:
    """An emulated Intercom with one workspace; no process runs yet."""
    deployment = WorkflowDeployment(tmp_path, redis_url, database_url)
    yield deployment
    deployment.close()


def test_kills_cause_neither_a_second_contact_nor_a_second_message(deployment: WorkflowDeployment) -> None:
    """Each kill hits some of the runs at another moment; an outcome that cannot be known is reported as unknown."""
    with ExitStack() as stack:
        deployment.write_file(FLOW)
        stack.callback(deployment.worker().kill)
        deployment.connect()
        flows = deployment.start_workflows()
        stack.callback(flows.kill)
        deployment.wake_workflows()
        wait_until(lambda: deployment.rows("workflow_files") == 1, 20)
        deployment.intercom.switches.latency_ms = 30
        people = deployment.create(40)
        wait_until(lambda: deployment.rows() >= 40, 20)
        for kill in range(5):
            deployment.wake_workflows()
            wait_until(partial(deployment.ended, at_least=7 * kill + 3), 30)
            for child in flows.children():
                os.kill(child.pid, signal.SIGKILL)
            flows.kill()
            deployment.execute("UPDATE workflow_runs SET lease_until = started_at WHERE lease_until IS NOT NULL")
            deployment.execute("UPDATE workflow_runs SET due_at = started_at")
            deployment.execute("UPDATE workflow_steps SET due_at = started_at WHERE state = 'retry'")
            deployment.execute("UPDATE action_keys SET lease_until = began_at")
            flows = deployment.start_workflows()
            stack.callback(flows.kill)
        deployment.wake_workflows()
        wait_until(partial(deployment.ended, at_least=40), 60)
        sent = [[deployment.messages_to(twin) for twin in deployment.twins(each)] for each in people]
        states = deployment.states()
    assert len(states) == 40
    assert all(len(each) == 1 for each in sent)
    assert all(each[0] <= 1 for each in sent)
    assert sum(each[0] for each in sent) >= states.count("done") > 0
