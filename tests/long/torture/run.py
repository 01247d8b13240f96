"""One run: life goes on while faults strike; afterwards everything is counted."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from tests.long.torture import faults, leak_check, recovery, stored_notifications, table_comparison
from tests.long.torture.emulated_intercom import EmulatedIntercom, address
from tests.long.torture.monitor import Monitor, wait_until_alive
from tests.long.torture.stored_notifications import StoredNotifications
from tests.long.torture.system_under_test import SystemUnderTest, start_system
from tests.long.torture.table_comparison import Difference
from tests.ports import free_port
from workers.runtime.counters import read

# Seconds. How long a start may take on a busy machine; how long the last retries may take.
START_SECONDS = 60.0
SEND_SECONDS = 120.0
# Seconds in which the inbox must be empty after the last fault and the last notification; how long is waited for it.
RECOVERY_SECONDS = 30.0
PATIENCE_SECONDS = 120.0
# Seconds in which the beat must have rung; it does so every second.
BEAT_SECONDS = 10.0
# Seconds in which a process that was killed must take from its queue again, the seconds that it starts in included.
QUEUE_SECONDS = 30.0
# Seconds that life goes on beside an outage of the database, half of them before it, more or less.
AFTER_OUTAGE_SECONDS = 6.0
# Seconds that the worker's own follow-ups get before the harness runs them itself, without their pauses.
DOUBT_SECONDS = 20.0


@dataclass(frozen=True)
class TorturePlan:
    """
    What a run does; the same plan makes the same history and strikes the same faults in the same order.

    `rate`: notifications told per second; `contacts`: how many there are at the start; `only`: kinds of faults, all of
    them if empty; `outage`: seconds that the database is away instead, once and with nothing else.
    """

    notifications: int
    faults: int
    seed: int
    database: str
    rate: float
    contacts: int
    only: tuple[str, ...] = ()
    outage: float = 0.0


def outage_plan(seconds: float, plan: TorturePlan) -> TorturePlan:
    """Change a plan: the database is away for so long, and life goes on a little longer than that."""
    told = int(plan.rate * (seconds + AFTER_OUTAGE_SECONDS))
    return replace(plan, notifications=told, faults=1, only=(), outage=seconds)


@dataclass
class TortureResult:
    """What a run found; `checks` evaluates it."""

    planned: int = 0
    told: int = 0
    acknowledged: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    answers: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    late: int = 0
    struck: Counter[str] = field(default_factory=Counter)
    restarts: Counter[str] = field(default_factory=Counter)
    recovery: float | None = None
    left: tuple[int, int] = (0, 0)
    books: StoredNotifications | None = None
    doubtful_after_wait: int = 0
    doubtful: int = 0
    differences: list[Difference] = field(default_factory=list)
    differences_reconciled: list[Difference] = field(default_factory=list)
    silence: float = 0.0
    standstill: float = 0.0
    deepest: int = 0
    oldest: float = 0.0
    memory: dict[str, list[float]] = field(default_factory=dict)
    duplicates: int = 0
    beat_rings: bool = False
    deaf: list[str] = field(default_factory=list)
    not_stopped: list[str] = field(default_factory=list)
    unfinished: list[str] = field(default_factory=list)
    synced: Counter[str] = field(default_factory=Counter)
    orphans: list[int] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run(plan: TorturePlan, directory: Path, say: Callable[[str], None]) -> TortureResult:
    """Run a plan in an empty directory, which keeps the logs."""
    port = free_port()
    intercom = EmulatedIntercom(address(port), plan.seed, plan.contacts)
    with intercom, start_system(directory, plan.database, port, intercom.port) as bed:
        wait_until_alive(port, START_SECONDS)
        assert recovery.wait_until_connected(bed.engine, START_SECONDS), "the workspace is not connected"
        result, began = TortureResult(), time.monotonic()
        with Monitor(bed, say) as watch:
            _live(plan, intercom, bed, result, say)
            _recover(intercom, bed, result, say)
        _take_down(watch, intercom, bed, result)
        _compare(intercom, bed, result)
        result.secrets = leak_check.found(bed)
        result.seconds = time.monotonic() - began
    result.not_stopped = bed.supervisor.not_stopped
    return result


def _live(
    plan: TorturePlan,
    intercom: EmulatedIntercom,
    bed: SystemUnderTest,
    result: TortureResult,
    say: Callable[[str], None],
) -> None:
    storm = FaultInjector(plan, bed, say)
    storm.thread.start()
    intercom.live(plan.notifications, plan.rate, storm.come)
    storm.thread.join()
    result.planned, result.struck = plan.faults, storm.struck


class FaultInjector:
    """Strikes faults from a thread of its own, each when its turn in the history has come."""

    def __init__(self, plan: TorturePlan, bed: SystemUnderTest, say: Callable[[str], None]) -> None:
        rng = Random(f"faults {plan.seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
        self._kinds = faults.kinds(plan.database, plan.outage)
        share = AFTER_OUTAGE_SECONDS / (plan.outage + AFTER_OUTAGE_SECONDS) if plan.outage else 0.98
        self._turns = sorted(rng.uniform(0.02, share) * plan.notifications for _ in range(plan.faults))
        self._names = faults.deck(list(plan.only or self._kinds), plan.faults, rng)
        self._rng, self._bed, self._say = rng, bed, say
        self._told = 0
        self._changed = threading.Condition()
        self.struck: Counter[str] = Counter()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def come(self, told: int) -> None:
        """So many notifications were told; waits while a fault whose turn it was is not through."""
        with self._changed:
            self._told = told
            self._changed.notify_all()
            behind = sum(turn <= told for turn in self._turns) - 1
            self._changed.wait_for(lambda: self.struck.total() >= behind or not self.thread.is_alive())

    def _run(self) -> None:
        for turn, name in zip(self._turns, self._names, strict=True):
            self._wait_for(turn)
            self._say(f"{self._told:6} told  {name}")
            self._kinds[name](self._bed, self._rng)
            with self._changed:
                self.struck[name] += 1
                self._changed.notify_all()

    def _wait_for(self, turn: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._told >= turn)


def _recover(
    intercom: EmulatedIntercom, bed: SystemUnderTest, result: TortureResult, say: Callable[[str], None]
) -> None:
    healed = time.monotonic()
    assert intercom.sender.wait(SEND_SECONDS), "the last notifications were not sent in time"
    began = max(healed, intercom.last_answer)
    waited = recovery.wait_until_empty(bed.redis, PATIENCE_SECONDS)
    result.recovery = None if waited is None else time.monotonic() - began
    result.left = recovery.left_in_inbox(bed.redis)
    say(f"inbox empty after {result.recovery} s, left {result.left}")
    result.beat_rings = recovery.rings(bed.redis, BEAT_SECONDS)
    queues = ("sync", "workflows", "deliveries")
    result.deaf = [queue for queue in queues if not recovery.wait_until_consumed(bed.redis, queue, QUEUE_SECONDS)]
    result.unfinished = recovery.wait_until_synced(bed.engine, PATIENCE_SECONDS)
    result.doubtful_after_wait = recovery.wait_until_certain(bed.engine, DOUBT_SECONDS)


def _take_down(watch: Monitor, intercom: EmulatedIntercom, bed: SystemUnderTest, result: TortureResult) -> None:
    record = intercom.sender.delivery_log
    result.told = len(intercom.told)
    result.acknowledged, result.dropped = frozenset(record.acknowledged), frozenset(record.dropped)
    result.answers, result.slowest, result.late = record.answers, intercom.slowest, intercom.late
    result.restarts = bed.supervisor.restarts
    result.duplicates = stored_notifications.duplicates_in(read(bed.redis))
    result.silence, result.standstill = watch.silence.longest, watch.standstill.longest
    result.deepest, result.oldest, result.memory = watch.deepest, watch.oldest, dict(watch.memory)
    result.orphans = [pid for process in bed.supervisor.processes.values() for pid in process.orphaned_pids()]


def _compare(intercom: EmulatedIntercom, bed: SystemUnderTest, result: TortureResult) -> None:
    result.books = stored_notifications.read(bed.engine)
    result.synced = recovery.synced(bed.engine)
    result.doubtful = recovery.follow_up(bed.engine, recovery.fetcher(intercom))
    truth = intercom.workspace.truth()
    untold = stored_notifications.ids_in(intercom.told[id_] for id_ in result.dropped)
    result.differences = table_comparison.differences(bed.engine, truth, untold)
    recovery.reconcile(bed.engine, intercom)
    recovery.follow_up(bed.engine, recovery.fetcher(intercom))
    result.differences_reconciled = table_comparison.differences(bed.engine, truth, frozenset())
