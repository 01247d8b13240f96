"""The rows of runs: asked for, taken by one process at a time, and ended."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Table, and_, case, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from models.db.bulk import upsert
from models.db.engine import transaction
from models.tables.column_types import datetime_text
from models.tables.internal_tables import sync_marks
from models.tables.sync_tables import sync_parts, sync_runs, sync_seen
from workers.facts.from_listing import INDEX_LAG_SECONDS
from workers.sync.parts import SyncRun, first_parts

# Seconds for which a process has a run to itself; it renews this while it works. A process that was killed costs its
# run this much.
LEASE_SECONDS = 15.0

# Our kinds; a verification keeps its rows in the same table.
SYNC_KINDS = ("backfill", "reconcile")

r = sync_runs.c
_IS_OPEN = and_(r.state.in_(("queued", "running")), r.kind.in_(SYNC_KINDS))


class LeaseLostError(Exception):
    """Somebody else works on the run by now; whatever is not committed is theirs to do again."""


def enqueue(engine: Engine, workspace_id: str, kind: str, asked_by: str, now: datetime, *, full: bool = False) -> int:
    """
    Ask for a run; returns its number, or that of one that is open already.

    A quick reconcile that waits becomes a full one if that is asked for.
    """
    while True:
        with transaction(engine) as connection:
            found = _open_run(connection, workspace_id, kind)
            if found is not None:
                if full and found["state"] == "queued" and not found["detail"].get("full"):
                    detail = {**found["detail"], "full": True}
                    connection.execute(update(sync_runs).where(r.id == found["id"]).values(detail=detail))
                return int(found["id"])
        try:
            with transaction(engine) as connection:
                values = {
                    "workspace_id": workspace_id,
                    "kind": kind,
                    "state": "queued",
                    "asked_by": asked_by,
                    "asked_at": now,
                    "detail": {"full": full},
                }
                made = connection.execute(insert(sync_runs).values(**values).returning(r.id)).scalar_one()
            return int(made)
        except IntegrityError:
            # Somebody asked at the same moment; theirs will do.
            continue


def _open_run(connection: Connection, workspace_id: str, kind: str) -> RowMapping | None:
    query = select(sync_runs).where(_IS_OPEN, r.workspace_id == workspace_id, r.kind == kind)
    return connection.execute(query).mappings().one_or_none()


def read_run(engine: Engine, run_id: int) -> dict[str, Any]:
    """Return a run's row."""
    with engine.connect() as connection:
        return dict(connection.execute(select(sync_runs).where(r.id == run_id)).mappings().one())


def lease_run(engine: Engine, lease: str, now: datetime, *, only: set[int] | None = None) -> SyncRun | None:
    """
    Take the open run that was worked on longest ago; None if there is none that is free.

    Args:
        engine: for writing.
        lease: who takes it.
        now: the time.
        only: take none but these.
    """
    free = or_(r.lease_until.is_(None), r.lease_until < now, r.lease_by == lease)
    query = select(sync_runs).where(_IS_OPEN, free).order_by(func.coalesce(r.lease_until, r.asked_at), r.id)
    with transaction(engine) as connection:
        for row in connection.execute(query).mappings().all():
            if (only is None or row["id"] in only) and not _is_busy(connection, row, lease, now):
                return _take(connection, row, lease, now, free)
    return None


def _is_busy(connection: Connection, row: RowMapping, lease: str, now: datetime) -> bool:
    """Tell whether somebody else works on another run of the workspace: they would share one scroll, and each page."""
    query = (
        select(func.count())
        .select_from(sync_runs)
        .where(
            _IS_OPEN,
            r.workspace_id == row["workspace_id"],
            r.id != row["id"],
            r.state == "running",
            or_(r.kind == "backfill", and_(r.lease_until > now, r.lease_by != lease)),
        )
    )
    return bool(connection.execute(query).scalar_one())


def _take(connection: Connection, row: RowMapping, lease: str, now: datetime, free: Any) -> SyncRun | None:
    started_at = row["started_at"] or now
    detail = dict(row["detail"])
    if "since" not in detail:
        detail["since"] = _since(connection, row, started_at)
    # If somebody's lease ended while they write a page, that page is waited for.
    connection.execute(select(r.id).where(r.id == row["id"]).with_for_update())
    taken = connection.execute(
        update(sync_runs)
        .where(r.id == row["id"], free)
        .values(
            state="running",
            started_at=started_at,
            detail=detail,
            lease_by=lease,
            lease_until=now + timedelta(seconds=LEASE_SECONDS),
        )
    )
    if taken.rowcount != 1:
        return None
    run = SyncRun(row["id"], row["workspace_id"], row["kind"], started_at, lease, detail["since"], detail)
    if row["started_at"] is None:
        rows = [
            {"run_id": run.id, "part": part.part, "stage": part.stage, "state": "open"} for part in first_parts(run)
        ]
        connection.execute(insert(sync_parts), rows)
    return run


def _since(connection: Connection, row: RowMapping, started_at: datetime) -> int:
    """Return the second from which changes are asked for: lists lag, so a little before the last run began."""
    begun = started_at
    if row["kind"] == "reconcile" and not row["detail"].get("full"):
        query = select(func.max(r.started_at)).where(
            r.workspace_id == row["workspace_id"], r.kind.in_(SYNC_KINDS), r.state == "done"
        )
        begun = connection.execute(query).scalar_one() or datetime.fromtimestamp(0, UTC)
    return max(0, int(begun.timestamp()) - INDEX_LAG_SECONDS)


def lock_run(connection: Connection, run: SyncRun, *, alone: bool = False) -> None:
    """
    Keep the run ours until the commit: nobody takes it over, or ends it, before that.

    Args:
        connection: within the transaction that writes a page.
        run: the run in hand.
        alone: wait also until nobody else of this process writes a page of it.

    Raises:
        LeaseLostError: it is somebody else's, or ended; write nothing.
    """
    ours = select(r.id).where(r.id == run.id, r.lease_by == run.lease, r.state == "running")
    # The weaker lock lets `renew` pass, which changes no key.
    lock = ours.with_for_update() if alone else ours.with_for_update(read=True, key_share=True)
    if connection.execute(lock).first() is None:
        raise LeaseLostError


def renew_lease(engine: Engine, run: SyncRun, now: datetime) -> None:
    """Renew the lease and say how far the run is; others come first when next a run is taken."""
    with transaction(engine) as connection:
        values = _progress(connection, run) | {"lease_until": now + timedelta(seconds=LEASE_SECONDS)}
        connection.execute(
            update(sync_runs).where(r.id == run.id, r.lease_by == run.lease, r.state == "running").values(**values)
        )


def _progress(connection: Connection, run: SyncRun) -> dict[str, Any]:
    p = sync_parts.c
    troubled = func.max(case((p.state == "open", p.error), else_=None))
    numbers = select(func.sum(p.expected), func.sum(p.seen), troubled).where(p.run_id == run.id)
    expected, seen, error = connection.execute(numbers).one()
    return {"expected": expected, "seen": seen or 0, "error": error}


def end_run(
    engine: Engine,
    run: SyncRun,
    state: str,
    now: datetime,
    *,
    error: str | None = None,
    more: Mapping[str, Any] | None = None,
) -> None:
    """
    End a run, or let it wait for a person; of a finished one the marks of sync_status are set.

    Raises:
        LeaseLostError: somebody else works on it.
    """
    with transaction(engine) as connection:
        lock_run(connection, run, alone=True)
        detail = {**run.detail, **(more or {})}
        values: dict[str, Any] = _progress(connection, run) | {
            "state": state,
            "error": error,
            "detail": detail,
            "lease_until": None,
            "lease_by": None,
        }
        if state != "waiting":
            values["ended_at"] = now
            _clear(connection, sync_seen, run.id)
            _clear(connection, sync_parts, run.id)
        connection.execute(update(sync_runs).where(r.id == run.id).values(**values))
        if state == "done":
            _mark(connection, run, now)
            _supersede(connection, run, now)


def _clear(connection: Connection, table: Table, run_id: int) -> None:
    connection.execute(delete(table).where(table.c.run_id == run_id))


def _mark(connection: Connection, run: SyncRun, now: datetime) -> None:
    column = "last_backfill_at" if run.kind == "backfill" else "last_reconcile_at"
    kinds = ("company", "contact", "segment", "tag")
    rows = [(run.workspace_id, kind, datetime_text(now)) for kind in kinds]
    upsert(connection, sync_marks, ("workspace_id", "object_type", column), rows)


def _supersede(connection: Connection, run: SyncRun, now: datetime) -> None:
    """Close the runs that still wait for a person: a later one has looked at everything again."""
    if not run.complete:
        return
    waiting = select(r.id).where(r.workspace_id == run.workspace_id, r.state == "waiting", r.id < run.id)
    for run_id in connection.execute(waiting).scalars().all():
        _clear(connection, sync_seen, run_id)
        _clear(connection, sync_parts, run_id)
        values = {"state": "failed", "error": "A later run took its place.", "ended_at": now}
        connection.execute(update(sync_runs).where(r.id == run_id).values(**values))


def accept_deletions(engine: Engine, workspace_id: str | None) -> list[int]:
    """Let the runs go on that wait for a person to believe their deletions; returns their numbers."""
    with transaction(engine) as connection:
        query = select(sync_runs).where(r.state == "waiting", r.kind == "reconcile")
        query = query if workspace_id is None else query.where(r.workspace_id == workspace_id)
        accepted = []
        for row in connection.execute(query).mappings().all():
            if _open_run(connection, row["workspace_id"], row["kind"]) is None:
                detail = {**row["detail"], "accepted": True}
                connection.execute(
                    update(sync_runs).where(r.id == row["id"]).values(state="queued", detail=detail, error=None)
                )
                accepted.append(int(row["id"]))
    return accepted
