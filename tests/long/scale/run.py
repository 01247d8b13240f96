"""One run: the mirror is filled through kills and losses, then reconciled once, and compared."""

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
from tests.long.scale import bed as beds
from tests.long.scale import tables
from tests.long.scale.bed import Bed, Options
from workers.facts.from_listing import INDEX_LAG_SECONDS
from workers.sync import runs
from workers.sync.schedule import FULL_RECONCILE_INTERVAL

_LOOK_SECONDS = 0.2
# Seconds between looks how far the fill is, to kill in the middle of it.
_WATCH_SECONDS = 0.02
# Seconds that pass in Intercom after life: what changed in the last minutes may be ahead of its lists, for all that the
# mirror knows.
_QUIET_SECONDS = INDEX_LAG_SECONDS + 60.0
# Seconds of the unheard time that pass at once.
_STRIDE_SECONDS = 60.0


@dataclass
class Result:
    """
    What was seen; times in seconds.

    `calls`: what Intercom was asked. `untold`: by topic, the notifications that were lost while nothing was heard.
    `asked_by`: who asked for the reconcile. `verified`: exit code and words of `verify --full`.
    """

    filled: float = 0.0
    hydrated: float = 0.0
    reconciled: float = 0.0
    killed: int = 0
    calls: int = 0
    memory_mib: float = 0.0
    untold: Counter[str] = field(default_factory=Counter)
    rows: dict[str, int] = field(default_factory=dict)
    before: int = 0
    differences: list[Any] = field(default_factory=list)
    asked_by: str = ""
    verified: tuple[int, dict[str, Any]] = (-1, {})
    verifying: float = 0.0


def run(options: Options, directory: Path, port: int, say: Callable[[str], None]) -> Result:
    """Do it all; raises AssertionError where something takes longer than `patience`."""
    result = Result()
    # An hour that passes ends where the mirror's clock is: what the reconcile compares with it is as in production.
    behind = options.unheard + 2 * _QUIET_SECONDS if options.unheard else 0.0
    with beds.running(options, directory, port, behind) as bed:
        say(f"{options.contacts:,} contacts and {options.companies:,} companies wait to be read")
        began = time.monotonic()
        _fill(options, bed, result)
        result.filled = time.monotonic() - began
        # Life stops, so that there is one truth to compare with; what searches lag behind, they have come to by then.
        bed.pretended.control({"running": False})
        bed.pass_time(_QUIET_SECONDS)
        say(f"filled after {result.filled:.0f} s and {result.killed} kills; hydrating")
        _wait(lambda: tables.doubtful(bed.reader) == 0, options, "nothing is in doubt")
        result.hydrated = time.monotonic() - began
        if options.unheard:
            result.untold = _live_unheard(options, bed)
            say(f"{result.untold.total():,} notifications were lost in {options.unheard:.0f} s")
        bed.pass_time(_QUIET_SECONDS)
        result.before = len(tables.wrong(bed.reader, bed.workspace))
        say(f"{result.before} differences; reconciling")
        _reconcile(options, bed, result)
        _judge(options, bed, result, say)
    return result


def _fill(options: Options, bed: Bed, result: Result) -> None:
    _wait(lambda: any(row["state"] == "running" for row in tables.runs(bed.reader)), options, "a fill has begun")
    until = time.monotonic() + options.patience
    while not any(row["state"] == "done" for row in tables.runs(bed.reader)):
        assert time.monotonic() < until, f"the fill takes too long: {tables.runs(bed.reader)}"
        # Spread over the fill: each after another share of it was read.
        share = (result.killed + 1) / (options.kills + 1)
        if result.killed < options.kills and tables.seen(bed.reader) >= share * options.contacts:
            bed.supervisor.processes["sync"].kill_group()
            if result.killed % 3 == 0:
                bed.supervisor.processes["worker"].kill_group()
            result.killed += 1
        # Between two looks how far the fill is.
        time.sleep(_WATCH_SECONDS)


def _live_unheard(options: Options, bed: Bed) -> Counter[str]:
    """Let everyday life go on for a while of which no notification arrives; returns what they would have told."""
    bed.pretended.control({"loss": 1.0})
    life, untold = RandomActivity(bed.workspace, options.seed + 1), Counter[str]()
    for _ in range(round(options.unheard / _STRIDE_SECONDS)):
        bed.pass_time(_STRIDE_SECONDS)
        for _ in range(round(options.rate * _STRIDE_SECONDS)):
            untold.update(each.topic for each in bed.pretended.act(lambda _workspace: life.step()))
    return untold


def _reconcile(options: Options, bed: Bed, result: Result) -> None:
    """Let the schedule ask for everything, as it does once a day, and wait until that is done."""
    result.memory_mib = _memory(bed.supervisor.processes["sync"].pid)
    began = time.monotonic()
    _become_a_day_old(bed)
    _wait(lambda: _last(bed)["kind"] == "reconcile", options, "the schedule asks for a reconcile")
    _wait(lambda: _last(bed)["state"] not in ("queued", "running"), options, "it is reconciled")
    if _last(bed)["state"] == "waiting":
        runs.accept_deletions(bed.writer, None)
        _wait(lambda: _last(bed)["state"] == "done", options, "deletions are accepted")
    assert _last(bed)["state"] == "done", _last(bed)
    _wait(lambda: tables.doubtful(bed.reader) == 0, options, "nothing is in doubt")
    result.reconciled, result.asked_by = time.monotonic() - began, _last(bed)["asked_by"]


def _become_a_day_old(bed: Bed) -> None:
    """Move what the mirror remembers of its connection and its runs back by a day, as if it had slept for that long."""
    c, r = connections.c, sync_runs.c
    with transaction(bed.writer) as connection:
        for user_id, connected_at in connection.execute(select(c.user_id, c.connected_at)).all():
            moved = connected_at - FULL_RECONCILE_INTERVAL - timedelta(minutes=1)
            connection.execute(update(connections).where(c.user_id == user_id).values(connected_at=moved))
        for run_id, *times in connection.execute(select(r.id, r.asked_at, r.started_at)).all():
            asked_at, started_at = (at - FULL_RECONCILE_INTERVAL for at in times)
            values = {"asked_at": asked_at, "started_at": started_at}
            connection.execute(update(sync_runs).where(r.id == run_id).values(**values))


def _judge(options: Options, bed: Bed, result: Result, say: Callable[[str], None]) -> None:
    result.differences = tables.wrong(bed.reader, bed.workspace)
    result.rows = tables.rows(bed.reader)
    result.calls = sum(bed.intercom.workspace_apis[beds.WORKSPACE].calls.values())
    say(f"{len(result.differences)} differences; verifying")
    began = time.monotonic()
    result.verified = bed.verify(options.verify_patience)
    result.verifying = time.monotonic() - began


def _last(bed: Bed) -> dict[str, Any]:
    return tables.runs(bed.reader)[-1]


def _wait(true: Callable[[], object], options: Options, what: str) -> None:
    until = time.monotonic() + options.patience
    while not true():
        assert time.monotonic() < until, f"gave up waiting until {what}"
        # Between two looks; the deadline of the loop decides.
        time.sleep(_LOOK_SECONDS)


def _memory(pid: int) -> float:
    main = psutil.Process(pid)
    return float(sum(each.memory_info().rss for each in [main, *main.children()]) / 2**20)
