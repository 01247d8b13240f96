"""
The negative control: the usual design under the mildest of the faults, which shows that a run would detect a loss.

The usual design has one Celery task per notification, acknowledged when it starts, which is Celery's default: the task
that a worker executes when it is killed is stored nowhere.
"""

import base64
import subprocess
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from random import Random
from typing import NamedTuple

import msgspec
import psycopg
from redis import Redis

from emulator.network_faults import NO_FAULTS
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.random_activity import populate
from emulator.workspace import EmulatedWorkspace
from settings import addresses
from tests.long.torture import databases
from tests.long.torture.emulated_intercom import RETRY_AFTER_SECONDS, THREADS, webhook_url
from tests.long.torture.processes import ManagedProcess, RestartingSupervisor, environment
from tests.long.torture.run import SEND_SECONDS, START_SECONDS
from tests.ports import free_port
from tests.valkey_server import run_server as run_valkey

NOTIFICATIONS = 4_000
KILLS = 12
# Seconds of work after which the worker is killed: many tasks, so that it may be at any point of any of them.
WORK_SECONDS = (0.05, 0.5)
# Seconds in which the queue must become empty after the last kill.
DRAIN_SECONDS = 120.0
# Seconds between two looks at the tasks that workers hold: long enough to finish one.
_TASK_SECONDS = 3.0

_SECRET = "naive-client-secret"
_COMMANDS = {
    "web": "granian --interface wsgi --host 127.0.0.1 --port $PORT --blocking-threads 8 --no-ws --log-level warning"
    " bench.naive:flask_app",
    "worker": "celery --quiet --app bench.naive:celery_app worker --concurrency 2 --loglevel warning",
}
# Celery's keys for waiting tasks, and for those that a worker has reserved.
_WAITING, _RESERVED = "celery", "unacked"


class NegativeControlResult(NamedTuple):
    """`waiting`: not lost, but reserved by killed workers; Celery delivers them again after an hour."""

    acknowledged: int
    stored: int
    waiting: int
    lost: int


def run(seed: int, directory: Path, log: Callable[[str], None]) -> NegativeControlResult:
    """Send new contacts to the usual design, kill its worker repeatedly, and count."""
    port = free_port()
    (directory / "valkey").mkdir()
    with run_valkey(directory / "valkey") as valkey, databases.run_database("postgres", directory) as database:
        variables = environment(
            PORT=str(port),
            REDIS_URL=addresses.celery_broker_url(valkey.url),
            DATABASE_URL=database.url,
            INTERCOM_CLIENT_SECRET=_SECRET,
        )
        subprocess.run(
            ["/bin/sh", "-c", "exec python -m bench.naive"],
            env=variables,
            check=True,
            cwd=directory,
            timeout=START_SECONDS,
        )
        processes = [ManagedProcess(name, command, variables, directory) for name, command in _COMMANDS.items()]
        with RestartingSupervisor(processes) as supervisor, closing(Redis.from_url(valkey.url)) as redis:
            kill = partial(_kill_while_working, supervisor.processes["worker"], database.url)
            log(f"{NOTIFICATIONS} notifications, {KILLS} kills of a working worker")
            acknowledged = _send(seed, port, kill)
            _wait_until_idle(redis)
            stored = _stored_ids(database.url)
            waiting = {_contact_id_in(message) for message in redis.hvals(_RESERVED)}
    return NegativeControlResult(
        len(acknowledged), len(stored), len(waiting - stored), len(acknowledged - stored - waiting)
    )


def _send(seed: int, port: int, kill: Callable[[Random], None]) -> set[str]:
    """Send the notifications while the worker is killed; returns the ids of acknowledged contacts."""
    rng = Random(f"control {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
    notifications = populate(EmulatedWorkspace(seed=f"control {seed}"), NOTIFICATIONS, 0, seed, links=0, crowded=0)
    target = WebhookTarget(webhook_url(port), _SECRET)
    with NotificationSender(target, NO_FAULTS, seed, RETRY_AFTER_SECONDS, THREADS) as sender:
        # All at once, so that a queue builds up, and the worker is busy whenever it is killed.
        sender.send(notifications)
        for _ in range(KILLS):
            kill(rng)
        assert sender.wait(SEND_SECONDS), "the notifications were not sent in time"
        return {notification.object_id for notification in notifications if notification.id in sender.acknowledged}


def _kill_while_working(worker: ManagedProcess, url: str, rng: Random) -> None:
    before, until = len(_stored_ids(url)), time.monotonic() + START_SECONDS
    while len(_stored_ids(url)) == before:
        assert time.monotonic() < until, "the worker does not start"
        time.sleep(0.05)
    time.sleep(rng.uniform(*WORK_SECONDS))
    worker.kill_group()


def _wait_until_idle(redis: Redis) -> None:
    until = time.monotonic() + DRAIN_SECONDS
    before = -1
    while redis.llen(_WAITING) or before != (before := int(redis.hlen(_RESERVED))):
        assert time.monotonic() < until, "the worker did not empty its queue"
        time.sleep(_TASK_SECONDS)


def _stored_ids(url: str) -> set[str]:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM contacts")}


def _contact_id_in(reserved: bytes | str) -> str:
    message = msgspec.json.decode(reserved)[0]
    arguments = msgspec.json.decode(base64.b64decode(message["body"]))[0]
    return str(arguments[0]["data"]["item"]["id"])
