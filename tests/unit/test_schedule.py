"""Which run is due follows from the latest runs of a workspace."""

from datetime import UTC, datetime, timedelta

import pytest

from workers.sync.schedule import (
    FAILED_SYNC_RETRY_INTERVAL,
    FULL_RECONCILE_INTERVAL,
    QUICK_RECONCILE_INTERVAL,
    DueRun,
    LatestRun,
    due_run,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
LONG_AGO = NOW - timedelta(days=30)
MINUTE = timedelta(minutes=1)

BACKFILL = DueRun("backfill", full=True, asked_by="connect")
GAP = DueRun("reconcile", full=True, asked_by="connect")
DAILY = DueRun("reconcile", full=True, asked_by="schedule")
HOURLY = DueRun("reconcile", full=False, asked_by="schedule")


def done(ago: timedelta, kind: str = "backfill", *, full: bool = True, state: str = "done") -> LatestRun:
    return LatestRun(kind, full, state, NOW - ago)


@pytest.mark.parametrize(
    ("connected_at", "latest", "expected"),
    [
        (NOW - MINUTE, [], BACKFILL),
        (NOW - MINUTE, [done(timedelta(), state="queued")], None),
        (LONG_AGO, [done(MINUTE)], None),
        # Connected again after a gap.
        (NOW - MINUTE, [done(timedelta(days=9))], GAP),
        (NOW - MINUTE, [done(timedelta(days=9)), done(timedelta(seconds=9), "reconcile")], None),
        # A failed run is repeated after an interval.
        (LONG_AGO, [done(MINUTE, state="failed")], None),
        (LONG_AGO, [done(FAILED_SYNC_RETRY_INTERVAL + MINUTE, state="failed")], BACKFILL),
        # By the time since the last run.
        (LONG_AGO, [done(QUICK_RECONCILE_INTERVAL)], HOURLY),
        (LONG_AGO, [done(FULL_RECONCILE_INTERVAL - MINUTE), done(MINUTE, "reconcile", full=False)], None),
        (LONG_AGO, [done(FULL_RECONCILE_INTERVAL), done(MINUTE, "reconcile", full=False)], DAILY),
        (LONG_AGO, [done(FULL_RECONCILE_INTERVAL), done(MINUTE, "reconcile", state="waiting")], None),
        # Rows of other kinds are ignored.
        (LONG_AGO, [done(MINUTE, "verify")], BACKFILL),
    ],
)
def test_due_run(connected_at: datetime, latest: list[LatestRun], expected: DueRun | None) -> None:
    """A backfill after connecting, a complete reconcile after a gap and once a day, a quick one each hour."""
    assert due_run(connected_at, latest, NOW) == expected
