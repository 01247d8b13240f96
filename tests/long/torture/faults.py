"""Every kind of fault, as a function that injects it into the system under test; the longest takes a few seconds."""

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

Fault = Callable[[SystemUnderTest, Random], None]

# Seconds for which a killed server is unavailable, at most.
MAX_DOWNTIME_SECONDS = 3.0
# Seconds for which new connections through a silenced proxy are half-open too, at most.
MAX_SILENCE_SECONDS = 3.0
# Seconds after its request at which a reconcile is killed, at most: it is under way by then.
MAX_RECONCILE_SECONDS = 3.0

_DRAIN_QUEUE = "drain"


def kill_worker(system: SystemUnderTest, _rng: Random) -> None:
    """Kill the worker with all of its child processes."""
    system.process("worker").kill_group()


def kill_worker_main(system: SystemUnderTest, _rng: Random) -> None:
    """Kill only the worker's main process, as the kernel does if memory is short; its children become orphans."""
    system.process("worker").send(signal.SIGKILL)


def kill_pool_child(system: SystemUnderTest, rng: Random) -> None:
    """Kill one of the worker's child processes."""
    _kill_one(system.process("worker").children(), rng)


def stop_worker(system: SystemUnderTest, _rng: Random) -> None:
    """Stop the worker with SIGTERM, as a deployment does."""
    system.process("worker").send(signal.SIGTERM)


def kill_beat(system: SystemUnderTest, _rng: Random) -> None:
    """Kill Celery beat."""
    system.process("beat").kill_group()


def kill_web(system: SystemUnderTest, _rng: Random) -> None:
    """Kill the web server's main process, which supervises the one that serves."""
    system.process("web").send(signal.SIGKILL)


def kill_web_child(system: SystemUnderTest, rng: Random) -> None:
    """Kill the process that serves."""
    _kill_one(system.process("web").children(), rng)


def kill_sync(system: SystemUnderTest, rng: Random) -> None:
    """Request a complete reconcile, and kill the process that executes it a little later."""
    with suppress(OperationalError):
        runs.enqueue(system.engine, WORKSPACE, "reconcile", "command", datetime.now(UTC), full=True)
        time.sleep(rng.uniform(0.0, MAX_RECONCILE_SECONDS))
    system.process("sync").kill_group()


def kill_workflows(system: SystemUnderTest, _rng: Random) -> None:
    """Kill the process that executes workflows."""
    system.process("workflows").kill_group()


def kill_deliveries(system: SystemUnderTest, _rng: Random) -> None:
    """Kill the process that sends outgoing webhooks."""
    system.process("deliveries").kill_group()


def kill_valkey(system: SystemUnderTest, rng: Random) -> None:
    """Kill Valkey, and start it on the same directory a little later."""
    system.valkey.kill()
    time.sleep(rng.uniform(0.0, MAX_DOWNTIME_SECONDS))
    system.valkey.start()


def crash_database(system: SystemUnderTest, rng: Random) -> None:
    """Stop PostgreSQL without a checkpoint, and start it a little later."""
    system.database.crash()
    time.sleep(rng.uniform(0.0, MAX_DOWNTIME_SECONDS))
    system.database.start()


def destroy_group(system: SystemUnderTest, _rng: Random) -> None:
    """Destroy the consumer group of the drains, with its list of pending entries."""
    system.redis.xgroup_destroy(INBOX, GROUP)


def lose_doorbell(system: SystemUnderTest, _rng: Random) -> None:
    """Delete the waiting Celery messages while the doorbell key says that one is on its way."""
    system.redis.set(DOORBELL, "1", px=5_000)
    system.redis.delete(_DRAIN_QUEUE)


def reset(proxy: str) -> Fault:
    """Return the fault that resets all connections of a proxy (RST)."""
    return lambda system, _rng: system.proxies[proxy].cut(reset=True)


def close(proxy: str) -> Fault:
    """Return the fault that closes all connections of a proxy (FIN)."""
    return lambda system, _rng: system.proxies[proxy].cut(reset=False)


def silence(proxy: str) -> Fault:
    """Return the fault that makes all connections of a proxy half-open, and for a while also new ones."""
    return lambda system, rng: system.proxies[proxy].silence(rng.choice([0.0, rng.uniform(0.0, MAX_SILENCE_SECONDS)]))


def _kill_one(processes: list[psutil.Process], rng: Random) -> None:
    if processes:
        with suppress(psutil.NoSuchProcess, ProcessLookupError):
            os.kill(rng.choice(processes).pid, signal.SIGKILL)


_VALKEY_PROXIES = ("web-valkey", "worker-valkey", "beat-valkey", "sync-valkey", "feed-valkey")

ON_ANY_DATABASE: dict[str, Fault] = {
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
    **{f"reset {proxy}": reset(proxy) for proxy in _VALKEY_PROXIES},
    **{f"close {proxy}": close(proxy) for proxy in _VALKEY_PROXIES},
    **{f"silence {proxy}": silence(proxy) for proxy in _VALKEY_PROXIES},
}

ON_POSTGRES: dict[str, Fault] = {
    "crash PostgreSQL": crash_database,
    "reset worker-sql": reset("worker-sql"),
    "close worker-sql": close("worker-sql"),
    "silence worker-sql": silence("worker-sql"),
}


def outage(seconds: float) -> Fault:
    """Return the fault that makes the database unavailable for so long."""

    def inject(system: SystemUnderTest, _rng: Random) -> None:
        system.database.crash()
        time.sleep(seconds)
        system.database.start()

    return inject


def kinds(database_kind: str, outage_seconds: float = 0.0) -> dict[str, Fault]:
    """Return the faults for a kind of database, by name; with `outage_seconds` only that outage."""
    if outage_seconds:
        return {"outage": outage(outage_seconds)}
    return ON_ANY_DATABASE | (ON_POSTGRES if database_kind == "postgres" else {})


def draw(names: list[str], count: int, rng: Random) -> list[str]:
    """Draw so many faults: every kind as often as any other, give or take one, in a random order."""
    drawn: list[str] = []
    while len(drawn) < count:
        drawn += rng.sample(names, len(names))
    drawn = drawn[:count]
    rng.shuffle(drawn)
    return drawn
