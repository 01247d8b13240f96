"""
The negative control: the design of the tutorials under the mildest of the faults, to see that a loss would be seen.

One Celery task per notification, acknowledged when it begins, as Celery does by default: what a worker has in hand
when it is killed exists nowhere any more.
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
from tests.long.torture.emulated_intercom import RETRY_AFTER_SECONDS, THREADS, address
from tests.long.torture.processes import ManagedProcess, RestartingSupervisor, environment
from tests.long.torture.run import SEND_SECONDS, START_SECONDS
from tests.ports import free_port
from tests.valkey_server import run_server as run_valkey

NOTIFICATIONS = 4_000
KILLS = 12
# Seconds of work after which the worker is killed: many tasks, so that it may be at any point of any of them.
WORK_SECONDS = (0.05, 0.5)
# Seconds in which the queue must be empty when nobody kills any more.
DRAIN_SECONDS = 120.0

_SECRET = "naive-client-secret"
_COMMANDS = {
    "web": "granian --interface wsgi --host 127.0.0.1 --port $PORT --blocking-threads 8 --no-ws --log-level warning"
    " bench.naive:flask_app",
    "worker": "celery --quiet --app bench.naive:celery_app worker --concurrency 2 --loglevel warning",
}
# Where Celery keeps tasks that wait, and those that a worker has fetched and not yet begun.
_WAITING, _FETCHED = "celery", "unacked"


class NegativeControlResult(NamedTuple):
    """`waiting`: not lost, but in the hands of workers that are dead; Celery hands them out again after an hour."""

    acknowledged: int
    stored: int
    waiting: int
    lost: int


def run(seed: int, directory: Path, say: Callable[[str], None]) -> NegativeControlResult:
    """Send new contacts to the naive design, kill its worker again and again, and count."""
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
            kill = partial(_kill_at_work, supervisor.processes["worker"], database.url)
            say(f"{NOTIFICATIONS} notifications, {KILLS} kills of a worker at work")
            acknowledged = _send(seed, port, kill)
            _wait_until_idle(redis)
            stored = _stored(database.url)
            waiting = {_contact_in(message) for message in redis.hvals(_FETCHED)}
    return NegativeControlResult(
        len(acknowledged), len(stored), len(waiting - stored), len(acknowledged - stored - waiting)
    )


def _send(seed: int, port: int, kill: Callable[[Random], None]) -> set[str]:
    rng = Random(f"control {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
    told = populate(EmulatedWorkspace(seed=f"control {seed}"), NOTIFICATIONS, 0, seed, links=0, crowded=0)
    with NotificationSender(
        WebhookTarget(address(port), _SECRET), NO_FAULTS, seed, RETRY_AFTER_SECONDS, THREADS
    ) as sender:
        # All at once, so that a queue builds up, and the worker's hands are full whenever it is killed.
        sender.send(told)
        for _ in range(KILLS):
            kill(rng)
        assert sender.wait(SEND_SECONDS), "the notifications were not sent in time"
        return {notification.object_id for notification in told if notification.id in sender.acknowledged}


def _kill_at_work(worker: ManagedProcess, url: str, rng: Random) -> None:
    before, until = len(_stored(url)), time.monotonic() + START_SECONDS
    while len(_stored(url)) == before:
        assert time.monotonic() < until, "the naive worker does not begin"
        time.sleep(0.05)
    time.sleep(rng.uniform(*WORK_SECONDS))
    worker.kill_group()


def _wait_until_idle(redis: Redis) -> None:
    until = time.monotonic() + DRAIN_SECONDS
    before = -1
    while redis.llen(_WAITING) or before != (before := int(redis.hlen(_FETCHED))):
        assert time.monotonic() < until, "the naive worker did not empty its queue"
        # Long enough for a worker to finish what it has in hand.
        time.sleep(3.0)


def _stored(url: str) -> set[str]:
    with psycopg.connect(url.replace("+psycopg", "")) as connection:
        return {row[0] for row in connection.execute("SELECT id FROM contacts")}


def _contact_in(fetched: bytes | str) -> str:
    message = msgspec.json.decode(fetched)[0]
    arguments = msgspec.json.decode(base64.b64decode(message["body"]))[0]
    return str(arguments[0]["data"]["item"]["id"])
