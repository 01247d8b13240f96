"""Every kind of fault, as a function that strikes the test bed; the longest takes a few seconds."""

import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from random import Random

import psutil
from sqlalchemy.exc import OperationalError

from tests.long.torture.emulated_intercom import WORKSPACE
from tests.long.torture.system_under_test import SystemUnderTest
from workers.runtime.redis_keys import DOORBELL, GROUP, INBOX
from workers.sync import runs

Strike = Callable[[SystemUnderTest, Random], None]

# Seconds that a server stays away after it was killed, at most.
LONGEST_ABSENCE = 3.0
# Seconds for which also new connections through a silenced link hear nothing, at most.
LONGEST_SILENCE = 3.0
# Seconds after which a reconcile that was asked for is in the middle of something, more or less.
LONGEST_START = 3.0

_WORKER_QUEUE = "drain"


def kill_worker(bed: SystemUnderTest, _rng: Random) -> None:
    """Kill the worker with all of its children."""
    bed.process("worker").kill_group()


def kill_worker_main(bed: SystemUnderTest, _rng: Random) -> None:
    """Kill the worker's main process alone, as the kernel does when memory is short; its children are orphans."""
    bed.process("worker").send(signal.SIGKILL)


def kill_pool_child(bed: SystemUnderTest, rng: Random) -> None:
    """Kill one of the processes that drain."""
    _kill_one(bed.process("worker").children(), rng)


def stop_worker(bed: SystemUnderTest, _rng: Random) -> None:
    """Tell the worker to end, as a deployment does."""
    bed.process("worker").send(signal.SIGTERM)


def kill_beat(bed: SystemUnderTest, _rng: Random) -> None:
    """Kill the beat."""
    bed.process("beat").kill_group()


def kill_web(bed: SystemUnderTest, _rng: Random) -> None:
    """Kill the process that watches over the one that serves."""
    bed.process("web").send(signal.SIGKILL)


def kill_web_child(bed: SystemUnderTest, rng: Random) -> None:
    """Kill the process that serves."""
    _kill_one(bed.process("web").children(), rng)


def kill_sync(bed: SystemUnderTest, rng: Random) -> None:
    """Ask for a complete reconcile, and kill whoever does it a little later."""
    with suppress(OperationalError):
        runs.enqueue(bed.engine, WORKSPACE, "reconcile", "command", datetime.now(UTC), full=True)
        time.sleep(rng.uniform(0.0, LONGEST_START))
    bed.process("sync").kill_group()


def kill_workflows(bed: SystemUnderTest, _rng: Random) -> None:
    """Kill the process that runs workflows."""
    bed.process("workflows").kill_group()


def kill_deliveries(bed: SystemUnderTest, _rng: Random) -> None:
    """Kill the process that tells endpoints."""
    bed.process("deliveries").kill_group()


def kill_valkey(bed: SystemUnderTest, rng: Random) -> None:
    """Kill Valkey, and start it on the same directory a little later."""
    bed.valkey.kill()
    time.sleep(rng.uniform(0.0, LONGEST_ABSENCE))
    bed.valkey.start()


def crash_database(bed: SystemUnderTest, rng: Random) -> None:
    """Stop PostgreSQL without a checkpoint, and start it a little later."""
    bed.database.crash()
    time.sleep(rng.uniform(0.0, LONGEST_ABSENCE))
    bed.database.start()


def destroy_group(bed: SystemUnderTest, _rng: Random) -> None:
    """Destroy the group that the drains read through, with the list of what is in hand."""
    bed.redis.xgroup_destroy(INBOX, GROUP)


def lose_doorbell(bed: SystemUnderTest, _rng: Random) -> None:
    """Delete the Celery messages that wait; the doorbell still says that one is on its way."""
    bed.redis.set(DOORBELL, "1", px=5_000)
    bed.redis.delete(_WORKER_QUEUE)


def reset(link: str) -> Strike:
    """Make the fault that ends all connections of a link with a RST."""
    return lambda bed, _rng: bed.links[link].cut(reset=True)


def close(link: str) -> Strike:
    """Make the fault that closes all connections of a link in order."""
    return lambda bed, _rng: bed.links[link].cut(reset=False)


def silence(link: str) -> Strike:
    """Make the fault that leaves all connections of a link half-open, and for a while those that come too."""
    return lambda bed, rng: bed.links[link].silence(rng.choice([0.0, rng.uniform(0.0, LONGEST_SILENCE)]))


def _kill_one(processes: list[psutil.Process], rng: Random) -> None:
    if processes:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            os.kill(rng.choice(processes).pid, signal.SIGKILL)


_TO_VALKEY = ("web-valkey", "worker-valkey", "beat-valkey", "sync-valkey", "feed-valkey")

EVERYWHERE: dict[str, Strike] = {
    "kill worker": kill_worker,
    "kill worker's main process": kill_worker_main,
    "kill pool child": kill_pool_child,
    "stop worker": stop_worker,
    "kill beat": kill_beat,
    "kill web": kill_web,
    "kill web's child": kill_web_child,
    "kill sync": kill_sync,
    "kill workflows": kill_workflows,
    "kill deliveries": kill_deliveries,
    "kill Valkey": kill_valkey,
    "destroy group": destroy_group,
    "lose doorbell": lose_doorbell,
    **{f"reset {link}": reset(link) for link in _TO_VALKEY},
    **{f"close {link}": close(link) for link in _TO_VALKEY},
    **{f"silence {link}": silence(link) for link in _TO_VALKEY},
}

WITH_POSTGRES: dict[str, Strike] = {
    "crash PostgreSQL": crash_database,
    "reset worker-sql": reset("worker-sql"),
    "close worker-sql": close("worker-sql"),
    "silence worker-sql": silence("worker-sql"),
}


def outage(seconds: float) -> Strike:
    """Make the fault that takes the database away for so long."""

    def strike(bed: SystemUnderTest, _rng: Random) -> None:
        bed.database.crash()
        time.sleep(seconds)
        bed.database.start()

    return strike


def kinds(database_kind: str, outage_seconds: float = 0.0) -> dict[str, Strike]:
    """Return the faults that a database's bed knows, by name; only an outage of the database if it is to last."""
    if outage_seconds:
        return {"outage": outage(outage_seconds)}
    return EVERYWHERE | (WITH_POSTGRES if database_kind == "postgres" else {})


def deck(names: list[str], count: int, rng: Random) -> list[str]:
    """Draw so many faults: every kind as often as any other, give or take one, in a random order."""
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += rng.sample(names, len(names))
    drawn = drawn[:count]
    rng.shuffle(drawn)
    return drawn
