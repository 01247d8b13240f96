"""
One torture run.

1. Start the system and the emulated Intercom; wait until the workspace is connected.
2. Send notifications at a rate, while `FaultInjector` injects faults at random places of the history.
3. Wait until the inbox is empty, the queues are consumed, and the backfills are done.
4. Compare ledger, feed and tables with what was sent; objects of lost notifications may differ.
5. Reconcile, and compare again; now nothing may differ.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random

from tests.long.torture import faults, leak_check, recovery, stored_notifications, table_comparison
from tests.long.torture.emulated_intercom import EmulatedIntercom, webhook_url
from tests.long.torture.monitor import Monitor, wait_until_alive
from tests.long.torture.stored_notifications import StoredNotifications
from tests.long.torture.system_under_test import SystemUnderTest, start_system
from tests.long.torture.table_comparison import Difference
from tests.ports import free_port
from workers.runtime.counters import read

# Seconds. How long a start may take on a busy machine; how long the last retries may take.
START_SECONDS = 60.0
SEND_SECONDS = 120.0
# Seconds in which the inbox must be empty after the last fault and the last notification; how long a run waits for it.
RECOVERY_SECONDS = 30.0
MAX_WAIT_SECONDS = 120.0
# Seconds in which beat must have set the doorbell; it does so every second.
BEAT_SECONDS = 10.0
# Seconds in which a process that was killed must take from its queue again, the seconds of its start included.
QUEUE_SECONDS = 30.0
# Seconds that activity continues around an outage of the database, about half of them before it.
AROUND_OUTAGE_SECONDS = 6.0
# Seconds for the worker's own refetches before the run refetches the rest itself, without their pauses.
REFETCH_SECONDS = 20.0


@dataclass(frozen=True)
class TorturePlan:
    """
    What a run does; the same plan makes the same history and injects the same faults in the same order.

    `rate`: notifications per second; `contacts`: their number at the start; `only`: kinds of faults, all of them if
    empty; `outage`: seconds for which the database is unavailable, once and with no other fault.
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
    """Return the plan with one outage of the database instead of its faults; activity lasts a little longer."""
    notifications = int(plan.rate * (seconds + AROUND_OUTAGE_SECONDS))
    return replace(plan, notifications=notifications, faults=1, only=(), outage=seconds)


@dataclass
class TortureResult:
    """What a run measured; `checks` evaluates it. Times are in seconds, `memory` in MiB by process."""

    planned_faults: int = 0
    sent: int = 0
    acknowledged: frozenset[str] = frozenset()
    dropped: frozenset[str] = frozenset()
    responses: Counter[int] = field(default_factory=Counter)
    slowest: float = 0.0
    late: int = 0
    injected: Counter[str] = field(default_factory=Counter)
    restarts: Counter[str] = field(default_factory=Counter)
    recovery: float | None = None
    inbox_left: tuple[int, int] = (0, 0)
    stored: StoredNotifications | None = None
    dirty_after_wait: int = 0
    dirty: int = 0
    differences: list[Difference] = field(default_factory=list)
    differences_reconciled: list[Difference] = field(default_factory=list)
    web_outage: float = 0.0
    inbox_stall: float = 0.0
    deepest: int = 0
    oldest: float = 0.0
    memory: dict[str, list[float]] = field(default_factory=dict)
    duplicates: int = 0
    beat_works: bool = False
    unconsumed_queues: list[str] = field(default_factory=list)
    not_stopped: list[str] = field(default_factory=list)
    unfinished_runs: list[str] = field(default_factory=list)
    finished_runs: Counter[str] = field(default_factory=Counter)
    orphans: list[int] = field(default_factory=list)
    leaks: list[str] = field(default_factory=list)
    seconds: float = 0.0


def run(plan: TorturePlan, directory: Path, log: Callable[[str], None]) -> TortureResult:
    """Run a plan in an empty directory, which keeps the logs."""
    port = free_port()
    intercom = EmulatedIntercom(webhook_url(port), plan.seed, plan.contacts)
    with intercom, start_system(directory, plan.database, port, intercom.port) as system:
        wait_until_alive(port, START_SECONDS)
        assert recovery.wait_until_connected(system.engine, START_SECONDS), "the workspace is not connected"
        result, began = TortureResult(), time.monotonic()
        with Monitor(system, log) as monitor:
            injector = FaultInjector(plan, system, log)
            injector.thread.start()
            intercom.generate(plan.notifications, plan.rate, injector.advance)
            injector.thread.join()
            result.planned_faults, result.injected = plan.faults, injector.injected
            _recover(intercom, system, result, log)
        _record(monitor, intercom, system, result)
        _compare(intercom, system, result)
        result.leaks = leak_check.find_leaks(system)
        result.seconds = time.monotonic() - began
    result.not_stopped = system.supervisor.not_stopped
    return result


class FaultInjector:
    """Injects faults in a thread of its own, each when its place in the history is reached."""

    def __init__(self, plan: TorturePlan, system: SystemUnderTest, log: Callable[[str], None]) -> None:
        rng = Random(f"faults {plan.seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
        self._faults = faults.kinds(plan.database, plan.outage)
        share = AROUND_OUTAGE_SECONDS / (plan.outage + AROUND_OUTAGE_SECONDS) if plan.outage else 0.98
        self._places = sorted(rng.uniform(0.02, share) * plan.notifications for _ in range(plan.faults))
        self._names = faults.draw(list(plan.only or self._faults), plan.faults, rng)
        self._rng, self._system, self._log = rng, system, log
        self._sent = 0
        self._changed = threading.Condition()
        self.injected: Counter[str] = Counter()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def advance(self, sent: int) -> None:
        """Record how many notifications were sent; waits if a fault is still being injected when the next is due."""
        with self._changed:
            self._sent = sent
            self._changed.notify_all()
            required = sum(place <= sent for place in self._places) - 1
            self._changed.wait_for(lambda: self.injected.total() >= required or not self.thread.is_alive())

    def _run(self) -> None:
        for place, name in zip(self._places, self._names, strict=True):
            self._wait_for(place)
            self._log(f"{self._sent:6} sent  {name}")
            self._faults[name](self._system, self._rng)
            with self._changed:
                self.injected[name] += 1
                self._changed.notify_all()

    def _wait_for(self, place: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._sent >= place)


def _recover(
    intercom: EmulatedIntercom, system: SystemUnderTest, result: TortureResult, log: Callable[[str], None]
) -> None:
    last_fault = time.monotonic()
    assert intercom.sender.wait(SEND_SECONDS), "the last notifications were not sent in time"
    began = max(last_fault, intercom.last_response)
    waited = recovery.wait_until_inbox_empty(system.redis, MAX_WAIT_SECONDS)
    result.recovery = None if waited is None else time.monotonic() - began
    result.inbox_left = recovery.count_inbox(system.redis)
    log(f"inbox empty after {result.recovery} s, left {result.inbox_left}")
    result.beat_works = recovery.is_beat_working(system.redis, BEAT_SECONDS)
    queues = ("sync", "workflows", "deliveries")
    result.unconsumed_queues = [
        queue for queue in queues if not recovery.wait_until_consumed(system.redis, queue, QUEUE_SECONDS)
    ]
    result.unfinished_runs = recovery.wait_until_synced(system.engine, MAX_WAIT_SECONDS)
    result.dirty_after_wait = recovery.wait_until_clean(system.engine, REFETCH_SECONDS)


def _record(monitor: Monitor, intercom: EmulatedIntercom, system: SystemUnderTest, result: TortureResult) -> None:
    deliveries = intercom.sender.delivery_log
    result.sent = len(intercom.sent)
    result.acknowledged, result.dropped = frozenset(deliveries.acknowledged), frozenset(deliveries.dropped)
    result.responses, result.slowest, result.late = deliveries.status_counts, intercom.slowest, intercom.late
    result.restarts = system.supervisor.restarts
    result.duplicates = stored_notifications.duplicates_in(read(system.redis))
    result.web_outage, result.inbox_stall = monitor.web_outage.longest, monitor.inbox_stall.longest
    result.deepest, result.oldest, result.memory = monitor.deepest, monitor.oldest, dict(monitor.memory)
    processes = system.supervisor.processes.values()
    result.orphans = [pid for process in processes for pid in process.orphaned_pids()]


def _compare(intercom: EmulatedIntercom, system: SystemUnderTest, result: TortureResult) -> None:
    result.stored = stored_notifications.read(system.engine)
    result.finished_runs = recovery.count_finished_runs(system.engine)
    result.dirty = recovery.refetch_all(system.engine, recovery.fetch_from(intercom))
    truth = intercom.workspace.truth()
    undelivered = stored_notifications.ids_in(intercom.sent[id_] for id_ in result.dropped)
    result.differences = table_comparison.differences(system.engine, truth, undelivered)
    recovery.reconcile(system.engine, intercom)
    recovery.refetch_all(system.engine, recovery.fetch_from(intercom))
    result.differences_reconciled = table_comparison.differences(system.engine, truth, frozenset())
