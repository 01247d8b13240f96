"""Short runs of `make scale`: real processes fill a mirror through kills and lost notifications."""

from dataclasses import replace
from pathlib import Path

from tests.long.scale.installation import Options
from tests.long.scale.run import Result, run
from tests.ports import free_port

# Another seed is another workspace.
SEED = 11

SLICE = Options(
    contacts=900,
    companies=150,
    links=30,
    latency_ms=80,
    error_rate=0.02,
    rate_limit=10_000,
    rate=5.0,
    loss=0.3,
    unheard=0.0,
    kills=1,
    seed=SEED,
    database="sqlite",
    patience=120.0,
    verify_patience=5.0,
)
# An hour without notifications; long enough for every kind of change.
UNHEARD = replace(SLICE, contacts=300, companies=60, latency_ms=20, rate=0.1, loss=0.0, kills=0, unheard=3600.0)


def test_a_backfill_with_kills_and_losses_ends_equal(tmp_path: Path) -> None:
    """Every row and every link equals the workspace after one complete reconcile."""
    result = _run(SLICE, tmp_path)
    assert (result.differences, result.verify_result[0]) == ([], 0), result.verify_result
    assert result.killed == SLICE.kills


def test_the_scheduled_reconcile_repairs_an_hour_of_lost_notifications(tmp_path: Path) -> None:
    """One reconcile, enqueued by the schedule, finds what was created, changed, linked, merged and deleted."""
    result = _run(UNHEARD, tmp_path)
    assert result.lost_topics.keys() >= LOST
    assert result.before > 0
    assert (result.differences, result.verify_result[0]) == ([], 0), result.verify_result
    assert result.asked_by == "schedule"


LOST = {
    "contact.user.created",
    "contact.user.updated",
    "contact.user.tag.created",
    "contact.user.tag.deleted",
    "company.contact.attached",
    "company.contact.detached",
    "contact.archived",
    "contact.unarchived",
    "contact.merged",
    "contact.deleted",
    "company.updated",
}


def _run(options: Options, directory: Path) -> Result:
    return run(options, directory, free_port(), print)
