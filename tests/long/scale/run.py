"""One run: fill a mirror through kills and lost notifications, reconcile it once, and compare it."""

import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
from sqlalchemy import select, update

from emulator.random_activity import RandomActivity
from models.db.engine import transaction
from models.tables.internal_tables import connections
from models.tables.sync_tables import sync_runs
from tests.long.scale import mirror_tables as tables
from tests.long.scale.installation import WORKSPACE, Installation, Options, run_installation
from workers.facts.from_listing import INDEX_LAG_SECONDS
from workers.sync import runs
from workers.sync.schedule import FULL_RECONCILE_INTERVAL

_POLL_SECONDS = 0.2
# Seconds between checks of the progress, so that kills come in the middle of the backfill.
_KILL_POLL_SECONDS = 0.02
# Seconds by which Intercom's clock advances after the last change, because its lists may lag behind recent changes.
_INDEX_SETTLE_SECONDS = INDEX_LAG_SECONDS + 60.0
# Seconds by which Intercom's clock advances at once while notifications are lost.
_STRIDE_SECONDS = 60.0


@dataclass
class Result:
    """
    The measurements and results of a run; durations in seconds.

    Attributes:
        calls: calls to Intercom.
        lost_topics: by topic, the number of notifications that were lost.
        asked_by: the origin of the reconcile: connect, schedule or command.
        verify_result: exit code and output of `verify --full`.
    """

    filled: float = 0.0
    refetched: float = 0.0
    reconciled: float = 0.0
    killed: int = 0
    calls: int = 0
    memory_mib: float = 0.0
    lost_topics: Counter[str] = field(default_factory=Counter)
    rows: dict[str, int] = field(default_factory=dict)
    before: int = 0
    differences: list[Any] = field(default_factory=list)
    asked_by: str = ""
    verify_result: tuple[int, dict[str, Any]] = (-1, {})
    verify_seconds: float = 0.0


def run(options: Options, directory: Path, port: int, report: Callable[[str], None]) -> Result:
    """Run all stages; raises AssertionError if one takes longer than `patience`."""
    result = Result()
    # Intercom's clock starts behind and ends at the mirror's, so that the reconcile compares times as in production.
    behind = options.unheard + 2 * _INDEX_SETTLE_SECONDS if options.unheard else 0.0
    with run_installation(options, directory, port, behind) as installation:
        report(f"{options.contacts:,} contacts and {options.companies:,} companies to read")
        began = time.monotonic()
        _fill(options, installation, result)
        result.filled = time.monotonic() - began
        # Stop all changes, so that there is one state to compare with, and let the index settle.
        installation.simulation.control({"running": False})
        installation.pass_time(_INDEX_SETTLE_SECONDS)
        report(f"filled after {result.filled:.0f} s and {result.killed} kills; refetching")
        _wait(lambda: tables.count_dirty(installation.reader) == 0, options, "no object is dirty")
        result.refetched = time.monotonic() - began
        if options.unheard:
            result.lost_topics = _lose_notifications(options, installation)
            report(f"{result.lost_topics.total():,} notifications were lost in {options.unheard:.0f} s")
        installation.pass_time(_INDEX_SETTLE_SECONDS)
        result.before = len(tables.wrong(installation.reader, installation.workspace))
        report(f"{result.before} differences; reconciling")
        _reconcile(options, installation, result)
        _compare(options, installation, result, report)
    return result


def _fill(options: Options, installation: Installation, result: Result) -> None:
    _wait(
        lambda: any(row["state"] == "running" for row in tables.runs(installation.reader)),
        options,
        "the backfill has started",
    )
    until = time.monotonic() + options.patience
    while not any(row["state"] == "done" for row in tables.runs(installation.reader)):
        assert time.monotonic() < until, f"the backfill takes too long: {tables.runs(installation.reader)}"
        # Spread over the backfill: each kill comes after another share of it was read.
        share = (result.killed + 1) / (options.kills + 1)
        if result.killed < options.kills and tables.seen(installation.reader) >= share * options.contacts:
            installation.supervisor.processes["sync"].kill_group()
            if result.killed % 3 == 0:
                installation.supervisor.processes["worker"].kill_group()
            result.killed += 1
        # Between two checks of the progress.
        time.sleep(_KILL_POLL_SECONDS)


def _lose_notifications(options: Options, installation: Installation) -> Counter[str]:
    """Change objects for a while without any notification arriving; returns the number of those lost, by topic."""
    installation.simulation.control({"loss": 1.0})
    activity, lost_topics = RandomActivity(installation.workspace, options.seed + 1), Counter[str]()
    for _ in range(round(options.unheard / _STRIDE_SECONDS)):
        installation.pass_time(_STRIDE_SECONDS)
        for _ in range(round(options.rate * _STRIDE_SECONDS)):
            lost_topics.update(each.topic for each in installation.simulation.act(lambda _workspace: activity.step()))
    return lost_topics


def _reconcile(options: Options, installation: Installation, result: Result) -> None:
    """Wait until the schedule has enqueued the daily complete reconcile, and until that is done."""
    result.memory_mib = _memory(installation.supervisor.processes["sync"].pid)
    began = time.monotonic()
    _age_by_a_day(installation)
    _wait(lambda: _last(installation)["kind"] == "reconcile", options, "the schedule enqueues a reconcile")
    _wait(lambda: _last(installation)["state"] not in ("queued", "running"), options, "the reconcile has ended")
    if _last(installation)["state"] == "waiting":
        runs.accept_deletions(installation.writer, None)
        _wait(lambda: _last(installation)["state"] == "done", options, "deletions are accepted")
    assert _last(installation)["state"] == "done", _last(installation)
    _wait(lambda: tables.count_dirty(installation.reader) == 0, options, "no object is dirty")
    result.reconciled, result.asked_by = time.monotonic() - began, _last(installation)["asked_by"]


def _age_by_a_day(installation: Installation) -> None:
    """Move the times of the connection and of the runs back by a day, so that the daily reconcile is due."""
    c, r = connections.c, sync_runs.c
    with transaction(installation.writer) as connection:
        for user_id, connected_at in connection.execute(select(c.user_id, c.connected_at)).all():
            moved = connected_at - FULL_RECONCILE_INTERVAL - timedelta(minutes=1)
            connection.execute(update(connections).where(c.user_id == user_id).values(connected_at=moved))
        for run_id, *times in connection.execute(select(r.id, r.asked_at, r.started_at)).all():
            asked_at, started_at = (at - FULL_RECONCILE_INTERVAL for at in times)
            values = {"asked_at": asked_at, "started_at": started_at}
            connection.execute(update(sync_runs).where(r.id == run_id).values(**values))


def _compare(options: Options, installation: Installation, result: Result, report: Callable[[str], None]) -> None:
    result.differences = tables.wrong(installation.reader, installation.workspace)
    result.rows = tables.rows(installation.reader)
    result.calls = sum(installation.intercom.workspace_apis[WORKSPACE].calls.values())
    report(f"{len(result.differences)} differences; verify_seconds")
    began = time.monotonic()
    result.verify_result = installation.verify(options.verify_patience)
    result.verify_seconds = time.monotonic() - began


def _last(installation: Installation) -> dict[str, Any]:
    return tables.runs(installation.reader)[-1]


def _wait(condition: Callable[[], object], options: Options, what: str) -> None:
    until = time.monotonic() + options.patience
    while not condition():
        assert time.monotonic() < until, f"gave up waiting until {what}"
        # Between two checks; the loop has a deadline.
        time.sleep(_POLL_SECONDS)


def _memory(pid: int) -> float:
    main = psutil.Process(pid)
    return float(sum(each.memory_info().rss for each in [main, *main.children()]) / 2**20)
