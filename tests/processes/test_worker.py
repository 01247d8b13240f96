"""A real worker on both databases: rung, killed, stopped, and before its time."""

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
LOOK_SECONDS = 0.02


class House:
    """Processes of the Procfile around one inbox and one database, and what a test does to them."""

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
        """Start a worker and wait until it takes messages."""
        process = self.start("worker")
        wait_until(lambda: " ready." in process.log.read_text(), START_SECONDS)
        return process

    def append(self, count: int) -> None:
        """Put notifications of so many new contacts into the inbox, as the receiver does; rings nobody."""
        pipeline = self.redis.pipeline()
        for _ in range(count):
            self._numbers += 1
            body = notification("contact.user.created", contact(f"{self._numbers:024x}"), number=self._numbers)
            pipeline.xadd(INBOX, {"b": msgspec.json.encode(body), "t": int(time.time() * 1000)})
        pipeline.execute()

    def refetch(self) -> None:
        """Have a worker look at what is in doubt."""
        self._celery.send_task(REFETCH_TASK, queue=QUEUES[REFETCH_TASK])

    def ring(self) -> None:
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
def house(tmp_path: Path, redis_url: str, database_url: str) -> Iterator[House]:
    """A house with tables."""
    house = House(tmp_path, redis_url, database_url)
    yield house
    house.close()


@pytest.fixture
def processes() -> Iterator[ExitStack]:
    """Ends what a test started."""
    with ExitStack() as stack:
        yield stack


def wait_until(what: Callable[[], bool], seconds: float) -> float:
    """Wait until it is so; returns how long that took."""
    began = time.monotonic()
    while not what():
        assert time.monotonic() < began + seconds, f"not so after {seconds} s"
        # Between two looks; the deadline decides, not this.
        time.sleep(LOOK_SECONDS)
    return time.monotonic() - began


def test_a_ring_brings_a_row_within_a_second(house: House, processes: ExitStack) -> None:
    """The doorbell reaches an idle worker, and the worker the table."""
    processes.callback(house.worker().kill)
    # The first drain of a process opens its connections.
    house.append(1)
    house.ring()
    wait_until(lambda: house.rows() == 1, 10)
    house.append(1)
    house.ring()
    wait_until(lambda: house.rows() == 2, 1)


def test_a_batch_in_the_hands_of_a_killed_child_is_taken_up(house: House, processes: ExitStack) -> None:
    """A kill -9 in the middle of a transaction costs seconds, no notification, and no place among the parked."""
    worker = house.worker()
    processes.callback(worker.kill)
    with house.engine.connect() as connection:
        connection.exec_driver_sql(
            "BEGIN IMMEDIATE" if connection.dialect.name == "sqlite" else "LOCK TABLE object_states"
        )
        house.append(300)
        house.ring()
        wait_until(lambda: house.pending() == 300, 10)
        for child in worker.children():
            os.kill(child.pid, signal.SIGKILL)

    def recovered() -> bool:
        # There is no beat here.
        house.ring()
        return house.rows() == 300 and house.depth() == 0

    wait_until(recovered, 12)
    assert house.rows("parked") == 0


def test_a_worker_that_is_told_to_stop_finishes_what_it_has_in_hand(house: House, processes: ExitStack) -> None:
    """After a warm shutdown everything is either committed or untouched in the inbox."""
    worker = house.worker()
    processes.callback(worker.kill)
    house.append(3_000)
    house.ring()
    wait_until(lambda: house.rows() > 0, 10)
    assert worker.stop() < 14
    assert house.pending() == 0
    assert house.rows("notifications") + house.depth() == 3_000


def test_a_worker_that_is_told_to_stop_while_its_database_says_nothing_ends(
    tmp_path: Path, redis_url: str, processes: ExitStack
) -> None:
    """A proxy in between stopped passing anything on, and would keep the connection for ever."""
    database = processes.enter_context(databases.run_database("postgres", tmp_path))
    assert database.socket is not None
    link = processes.enter_context(FaultProxy(database.socket, KEEPALIVE_TIMEOUT_SECONDS))
    upgrade(database.url)
    house = House(tmp_path, redis_url, database.url_through(link.port))
    processes.callback(house.close)
    # Of one child, so that the next task finds the connection that the one before left.
    worker = house.start("worker", "--concurrency 1")
    processes.callback(worker.kill)
    house.append(1)
    house.ring()
    wait_until(lambda: house.rows() == 1 and house.depth() == 0, START_SECONDS)
    link.silence()
    house.refetch()
    wait_until(lambda: bool(house.redis.exists(REFETCH_LOCK)), 10)
    assert worker.stop() < STOP_SECONDS


def test_the_beat_alone_makes_good_for_a_lost_ring(house: House, processes: ExitStack) -> None:
    """The Celery message is gone and the doorbell says that it is on its way: seconds are lost, nothing else."""
    processes.callback(house.worker().kill)
    house.append(1)
    house.redis.set(DOORBELL, "1", px=doorbell.DOORBELL_MILLISECONDS)
    house.redis.delete("drain")
    processes.callback(house.start("beat").kill)
    wait_until(lambda: house.rows() == 1, 12)


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
    """It takes nothing and parks nothing until somebody has migrated; then it goes on by itself."""
    house = House(tmp_path, redis_url, empty_database_url)
    processes.callback(house.close)
    worker = house.worker()
    processes.callback(worker.kill)
    house.append(2)
    house.ring()
    wait_until(lambda: "not those of this version" in worker.log.read_text(), 10)
    assert (house.depth(), house.pending()) == (2, 0)
    upgrade(empty_database_url)
    house.ring()
    wait_until(lambda: house.rows() == 2, 5)
