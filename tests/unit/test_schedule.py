"""Which runs are due is found by looking at what there was."""

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
    ("connected_at", "past", "wanted"),
    [
        (NOW - MINUTE, [], BACKFILL),
        (NOW - MINUTE, [done(timedelta(), state="queued")], None),
        (LONG_AGO, [done(MINUTE)], None),
        # Connected again after a gap.
        (NOW - MINUTE, [done(timedelta(days=9))], GAP),
        (NOW - MINUTE, [done(timedelta(days=9)), done(timedelta(seconds=9), "reconcile")], None),
        # A failure rests for a while.
        (LONG_AGO, [done(MINUTE, state="failed")], None),
        (LONG_AGO, [done(FAILED_SYNC_RETRY_INTERVAL + MINUTE, state="failed")], BACKFILL),
        # By the clock.
        (LONG_AGO, [done(QUICK_RECONCILE_INTERVAL)], HOURLY),
        (LONG_AGO, [done(FULL_RECONCILE_INTERVAL - MINUTE), done(MINUTE, "reconcile", full=False)], None),
        (LONG_AGO, [done(FULL_RECONCILE_INTERVAL), done(MINUTE, "reconcile", full=False)], DAILY),
        (LONG_AGO, [done(FULL_RECONCILE_INTERVAL), done(MINUTE, "reconcile", state="waiting")], None),
        # A verification is no walk.
        (LONG_AGO, [done(MINUTE, "verify")], BACKFILL),
    ],
)
def test_what_is_due(connected_at: datetime, past: list[LatestRun], wanted: DueRun | None) -> None:
    """A fill after connecting, everything after a gap and once a day, changes once an hour."""
    assert due_run(connected_at, past, NOW) == wanted
