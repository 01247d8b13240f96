"""
Decide which runs are due: a backfill after connecting, reconciles at intervals.

The tables decide, not messages: a wake-up that is lost delays a run until Celery beat sends the next one.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Engine, func, select

from models.queries.connection_rows import CONNECTED
from models.tables.internal_tables import connections
from models.tables.sync_tables import sync_runs
from workers.sync import runs

# Between reconciles of what changed: a lost notification stays unnoticed for no longer, at the cost of a few calls for
# changed contacts and one for each hundred companies. Shorter intervals would mostly read what notifications contained
# already.
QUICK_RECONCILE_INTERVAL = timedelta(hours=1)
# Between reconciles of everything: only these find deletions whose notification was lost. One costs a call for each 150
# contacts: some minutes of the allowance in a workspace with a million of them.
FULL_RECONCILE_INTERVAL = timedelta(days=1)
# Until a complete run that failed for good (a permission, the plan) is repeated: a person may have fixed the cause.
FAILED_SYNC_RETRY_INTERVAL = timedelta(minutes=10)


class LatestRun(NamedTuple):
    """The newest run of a workspace with this kind and state; `full`: it reads everything, as each backfill does."""

    kind: str
    full: bool
    state: str
    asked_at: datetime


class DueRun(NamedTuple):
    """A run to enqueue."""

    kind: str
    full: bool
    asked_by: str


def due_run(connected_at: datetime, latest: Iterable[LatestRun], now: datetime) -> DueRun | None:
    """
    Decide which run a workspace needs.

    1. If a run is queued or running: none.
    2. If no complete run that was enqueued since the workspace was connected is done or waits for a person: a complete
       run. It is a backfill, or a reconcile if an earlier backfill is done, because what was deleted while the
       workspace was disconnected is still in the tables. After a failure FAILED_SYNC_RETRY_INTERVAL must pass first.
    3. If the last complete run is older than FULL_RECONCILE_INTERVAL: a complete reconcile.
    4. If the last run is older than QUICK_RECONCILE_INTERVAL: a reconcile of what changed.

    Args:
        connected_at: since when the workspace has had a connection without interruption.
        latest: its runs, the newest of each kind and state.
        now: the time.
    """
    syncs = [run for run in latest if run.kind in runs.SYNC_KINDS]
    if any(run.state in ("queued", "running") for run in syncs):
        return None
    full = [run for run in syncs if run.full]
    since_connected = [run for run in full if run.asked_at >= connected_at]
    if not any(run.state in ("done", "waiting") for run in since_connected):
        if any(run.asked_at > now - FAILED_SYNC_RETRY_INTERVAL for run in since_connected):
            return None
        has_backfill = any(run.kind == "backfill" and run.state == "done" for run in full)
        return DueRun("reconcile" if has_backfill else "backfill", full=True, asked_by="connect")
    if max(run.asked_at for run in full) <= now - FULL_RECONCILE_INTERVAL:
        return DueRun("reconcile", full=True, asked_by="schedule")
    if max(run.asked_at for run in syncs) <= now - QUICK_RECONCILE_INTERVAL:
        return DueRun("reconcile", full=False, asked_by="schedule")
    return None


def enqueue_due_runs(reader: Engine, engine: Engine, now: datetime) -> int:
    """
    Enqueue the runs that are due in all connected workspaces; returns how many.

    1. Read since when each workspace is connected, and its latest runs.
    2. Decide for each workspace which run is due (`due_run`).
    3. Enqueue these runs.
    """
    decisions = [(workspace_id, due_run(at, latest, now)) for workspace_id, at, latest in _histories(reader)]
    due = [(workspace_id, run) for workspace_id, run in decisions if run is not None]
    for workspace_id, run in due:
        runs.enqueue(engine, workspace_id, run.kind, run.asked_by, now, full=run.full)
    return len(due)


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
        connected_at = {row[0]: row[1] for row in connection.execute(connected)}
        latest: dict[str, list[LatestRun]] = {workspace_id: [] for workspace_id in connected_at}
        for workspace_id, kind, is_full, state, asked_at in connection.execute(newest):
            if workspace_id in latest:
                latest[workspace_id].append(LatestRun(kind, kind == "backfill" or bool(is_full), state, asked_at))
    return [(workspace_id, at, latest[workspace_id]) for workspace_id, at in connected_at.items()]
