"""A real worker on both databases: woken, killed, stopped, and started before the migrations."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import msgspec
import pytest
from celery import Celery
from redis import Redis
from sqlalchemy import Engine, create_engine, text

from models.db.migrate import upgrade
from settings import addresses
from tests import postgres_server as postgres
from tests.long.torture import databases
from tests.long.torture.fault_proxy import KEEPALIVE_TIMEOUT_SECONDS, FaultProxy
from tests.long.torture.processes import STOP_SECONDS, ManagedProcess, environment, procfile
from tests.stories.drain_harness import contact, notification
from workers.inbox import doorbell
from workers.runtime.redis_keys import DOORBELL, GROUP, INBOX, REFETCH_LOCK
from workers.runtime.task_names import QUEUES, REFETCH_TASK

# Seconds. A worker is ready after two; a busy machine takes several times that.
START_SECONDS = 30.0
POLL_SECONDS = 0.02


class Deployment:
    """Processes of the Procfile with one inbox and one database."""

    def __init__(self, directory: Path, redis_url: str, database_url: str) -> None:
        self.redis = Redis.from_url(redis_url)
        self.engine: Engine = create_engine(database_url)
        self._celery = Celery(broker=addresses.celery_broker_url(redis_url))
        self._variables = environment(REDIS_URL=redis_url, DATABASE_URL=database_url, LOG_FORMAT="json")
        self._directory = directory
        self._numbers = 0

    def start(self, name: str, more: str = "") -> ManagedProcess:
        process = ManagedProcess(name, f"{procfile()[name]} {more}", self._variables, self._directory)
        process.start()
        return process

    def worker(self) -> ManagedProcess:
        """Start a worker and wait until it consumes messages."""
        process = self.start("worker")
        wait_until(lambda: " ready." in process.log.read_text(), START_SECONDS)
        return process

    def append(self, count: int) -> None:
        """Append notifications about so many new contacts, as the receiver does, without a doorbell."""
        pipeline = self.redis.pipeline()
        for _ in range(count):
            self._numbers += 1
            body = notification("contact.user.created", contact(f"{self._numbers:024x}"), number=self._numbers)
            pipeline.xadd(INBOX, {"b": msgspec.json.encode(body), "t": int(time.time() * 1000)})
        pipeline.execute()

    def refetch(self) -> None:
        """Have a worker refetch dirty objects."""
        self._celery.send_task(REFETCH_TASK, queue=QUEUES[REFETCH_TASK])

    def send_doorbell(self) -> None:
        doorbell.send(self.redis, self._celery)

    def rows(self, table: str = "contacts") -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())  # noqa: S608

    def depth(self) -> int:
        return int(self.redis.xlen(INBOX))

    def pending(self) -> int:
        # There is no group before the first drain.
        return int(self.redis.xpending(INBOX, GROUP)["pending"]) if self.redis.exists(INBOX) and self._group() else 0

    def _group(self) -> bool:
        groups: Any = self.redis.xinfo_groups(INBOX)
        return bool(groups)

    def close(self) -> None:
        self._celery.close()
        self.engine.dispose()
        self.redis.close()


@pytest.fixture
def deployment(tmp_path: Path, redis_url: str, database_url: str) -> Iterator[Deployment]:
    """A deployment with tables."""
    deployment = Deployment(tmp_path, redis_url, database_url)
    yield deployment
    deployment.close()


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """Ends the processes that a test started."""
    with ExitStack() as stack:
        yield stack


def wait_until(condition: Callable[[], bool], seconds: float) -> float:
    """Wait until a condition is met; return how long that took."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() < began + seconds, f"not met after {seconds} s"
        time.sleep(POLL_SECONDS)
    return time.monotonic() - began


def test_a_doorbell_brings_a_row_within_a_second(deployment: Deployment, processes: ExitStack) -> None:
    """An idle worker gets the doorbell and drains the inbox."""
    processes.callback(deployment.worker().kill)
    # The first drain of a process opens its connections.
    deployment.append(1)
    deployment.send_doorbell()
    wait_until(lambda: deployment.rows() == 1, 10)
    deployment.append(1)
    deployment.send_doorbell()
    wait_until(lambda: deployment.rows() == 2, 1)


def test_a_batch_of_a_killed_process_is_recovered(deployment: Deployment, processes: ExitStack) -> None:
    """A kill -9 during a transaction costs seconds; no notification is lost or parked."""
    worker = deployment.worker()
    processes.callback(worker.kill)
    with deployment.engine.connect() as connection:
        connection.exec_driver_sql(
            "BEGIN IMMEDIATE" if connection.dialect.name == "sqlite" else "LOCK TABLE object_states"
        )
        deployment.append(300)
        deployment.send_doorbell()
        wait_until(lambda: deployment.pending() == 300, 10)
        for child in worker.children():
            os.kill(child.pid, signal.SIGKILL)

    def recovered() -> bool:
        # Celery beat does not run here.
        deployment.send_doorbell()
        return deployment.rows() == 300 and deployment.depth() == 0

    wait_until(recovered, 12)
    assert deployment.rows("parked") == 0


def test_a_stopped_worker_finishes_its_batch(deployment: Deployment, processes: ExitStack) -> None:
    """After a warm shutdown each entry is either committed or not yet read."""
    worker = deployment.worker()
    processes.callback(worker.kill)
    deployment.append(3_000)
    deployment.send_doorbell()
    wait_until(lambda: deployment.rows() > 0, 10)
    assert worker.stop() < 14
    assert deployment.pending() == 0
    assert deployment.rows("notifications") + deployment.depth() == 3_000


def test_a_worker_stops_while_its_database_does_not_respond(
    tmp_path: Path, redis_url: str, processes: ExitStack
) -> None:
    """A proxy in between stops forwarding, and would keep the connection open for ever."""
    database = processes.enter_context(databases.run_database("postgres", tmp_path))
    assert database.socket is not None
    link = processes.enter_context(FaultProxy(database.socket, KEEPALIVE_TIMEOUT_SECONDS))
    upgrade(database.url)
    deployment = Deployment(tmp_path, redis_url, database.url_through(link.port))
    processes.callback(deployment.close)
    # With one pool process, so that the next task uses the connection that the previous one opened.
    worker = deployment.start("worker", "--concurrency 1")
    processes.callback(worker.kill)
    deployment.append(1)
    deployment.send_doorbell()
    wait_until(lambda: deployment.rows() == 1 and deployment.depth() == 0, START_SECONDS)
    link.silence()
    deployment.refetch()
    wait_until(lambda: bool(deployment.redis.exists(REFETCH_LOCK)), 10)
    assert worker.stop() < STOP_SECONDS


def test_celery_beat_replaces_a_lost_doorbell(deployment: Deployment, processes: ExitStack) -> None:
    """The message is lost while the key says that it is on its way: that costs seconds, nothing else."""
    processes.callback(deployment.worker().kill)
    deployment.append(1)
    deployment.redis.set(DOORBELL, "1", px=doorbell.DOORBELL_MILLISECONDS)
    deployment.redis.delete("drain")
    processes.callback(deployment.start("beat").kill)
    wait_until(lambda: deployment.rows() == 1, 12)


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """URL of a database without tables."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path}/empty.db"
        return
    server: postgres.PostgresServer = request.getfixturevalue("postgres_server")
    name = postgres.unique_name("empty")
    yield server.create(name)
    server.drop(name)


def test_a_worker_that_meets_an_older_schema_waits(
    tmp_path: Path, redis_url: str, empty_database_url: str, processes: ExitStack
) -> None:
    """It reads nothing and parks nothing until the database is migrated; then it goes on by itself."""
    deployment = Deployment(tmp_path, redis_url, empty_database_url)
    processes.callback(deployment.close)
    worker = deployment.worker()
    processes.callback(worker.kill)
    deployment.append(2)
    deployment.send_doorbell()
    wait_until(lambda: "belong to another version" in worker.log.read_text(), 10)
    assert (deployment.depth(), deployment.pending()) == (2, 0)
    upgrade(empty_database_url)
    deployment.send_doorbell()
    wait_until(lambda: deployment.rows() == 2, 5)
