"""Which runs are due: a backfill after connecting, reconciles now and then. Found by looking; rings may be lost."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Engine, func, select

from models.queries.connection_rows import CONNECTED
from models.tables.internal_tables import connections
from models.tables.sync_tables import sync_runs
from workers.sync import runs

# What changed, once an hour: a lost notification stays unnoticed for no longer, at the cost of a few calls for changed
# contacts and one for each hundred companies. More often would mostly read what notifications told already.
QUICK_RECONCILE_INTERVAL = timedelta(hours=1)
# Everything, once a day: only that finds deletions that nobody told of, and it costs a call for each 150 contacts, some
# minutes of the allowance in a workspace with a million of them.
FULL_RECONCILE_INTERVAL = timedelta(days=1)
# A backfill that failed for good (a permission, the plan) is tried again after this long: somebody may have mended it.
FAILED_SYNC_RETRY_INTERVAL = timedelta(minutes=10)


class LatestRun(NamedTuple):
    """The newest run of its sort; `full`: it walks everything, as a backfill does too."""

    kind: str
    full: bool
    state: str
    asked_at: datetime


class DueRun(NamedTuple):
    """A run to be asked for."""

    kind: str
    full: bool
    asked_by: str


def due_run(connected_at: datetime, past: Iterable[LatestRun], now: datetime) -> DueRun | None:
    """
    Decide what a workspace needs.

    Args:
        connected_at: since when somebody is connected without a gap.
        past: its runs, the newest of each sort.
        now: the time.
    """
    held = [each for each in past if each.kind in runs.SYNC_KINDS]
    if any(each.state in ("queued", "running") for each in held):
        return None
    full = [each for each in held if each.full]
    since = [each for each in full if each.asked_at >= connected_at]
    if not any(each.state in ("done", "waiting") for each in since):
        if any(each.asked_at > now - FAILED_SYNC_RETRY_INTERVAL for each in since):
            return None
        # Somebody was connected before: what was deleted in the gap is still in the tables.
        before = any(each.kind == "backfill" and each.state == "done" for each in full)
        return DueRun("reconcile" if before else "backfill", full=True, asked_by="connect")
    if max(each.asked_at for each in full) <= now - FULL_RECONCILE_INTERVAL:
        return DueRun("reconcile", full=True, asked_by="schedule")
    if max(each.asked_at for each in held) <= now - QUICK_RECONCILE_INTERVAL:
        return DueRun("reconcile", full=False, asked_by="schedule")
    return None


def enqueue_due_runs(reader: Engine, engine: Engine, now: datetime) -> int:
    """Ask for every run that is due, in all workspaces that somebody is connected to; returns how many."""
    wanted = [(workspace_id, due_run(at, past, now)) for workspace_id, at, past in _histories(reader)]
    found = [(workspace_id, want) for workspace_id, want in wanted if want is not None]
    for workspace_id, want in found:
        runs.enqueue(engine, workspace_id, want.kind, want.asked_by, now, full=want.full)
    return len(found)


def _histories(reader: Engine) -> list[tuple[str, datetime, list[LatestRun]]]:
    c, r = connections.c, sync_runs.c
    connected = (
        select(c.workspace_id, func.min(c.connected_at))
        .where(c.status == CONNECTED, c.token.is_not(None))
        .group_by(c.workspace_id)
    )
    full = r.detail["full"].as_boolean()
    newest = select(r.workspace_id, r.kind, full, r.state, func.max(r.asked_at)).group_by(
        r.workspace_id, r.kind, full, r.state
    )
    with reader.connect() as connection:
        since = {row[0]: row[1] for row in connection.execute(connected)}
        past: dict[str, list[LatestRun]] = {workspace_id: [] for workspace_id in since}
        for workspace_id, kind, is_full, state, asked_at in connection.execute(newest):
            if workspace_id in past:
                past[workspace_id].append(LatestRun(kind, kind == "backfill" or bool(is_full), state, asked_at))
    return [(workspace_id, at, past[workspace_id]) for workspace_id, at in since.items()]
