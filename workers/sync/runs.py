"""
The rows of sync runs: a run is enqueued, leased by one process at a time, and ended.

States of a run (`sync_runs.state`) and their transitions:

                                c
                              +---+
                              |   v
             a           b  +---------+   d
    (no row) --> queued --> | running | ----> done
                   ^        +---------+
                   |          |     |     e
                   |          | f   +-------> failed
                   |          v                 ^
                   |   g             h          |
                   +------ waiting -------------+

    a  enqueue: the schedule, a command or a new connection asks for a run.
    b  lease_run: a process takes the run and inserts its first parts.
    c  renew_lease, each second while a process works; lease_run, when the run's turn comes again, or when the lease
       of a process that ended has expired.
    d  end_run: no part is open, and no required part was refused (RunWorker._end_if_finished).
    e  end_run: the workspace has no connection, its token was refused, or a required part was refused.
    f  end_run: too many rows are in no list; a person has to confirm the deletions (TooManyMissingError).
    g  accept_deletions: a person confirmed them. The run keeps its parts and continues.
    h  end_run: a later complete run of the workspace is done (_close_superseded).
"""

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
from workers.sync.run_parts import SyncRun, first_parts

# Seconds for which a process has a run to itself; it renews the lease while it works. A process that was killed delays
# its run by this much.
LEASE_SECONDS = 15.0

# The kinds of runs that this module handles; rows of other kinds are ignored.
SYNC_KINDS = ("backfill", "reconcile")

r = sync_runs.c
_IS_OPEN = and_(r.state.in_(("queued", "running")), r.kind.in_(SYNC_KINDS))


class LeaseLostError(Exception):
    """Another process holds the run; it repeats whatever this one has not committed."""


def enqueue(engine: Engine, workspace_id: str, kind: str, asked_by: str, now: datetime, *, full: bool = False) -> int:
    """
    Enqueue a run, unless one of this kind is open; a queued quick reconcile becomes a full one if `full`.

    Args:
        engine: for writing.
        workspace_id: the workspace to read.
        kind: "backfill" or "reconcile".
        asked_by: "connect", "schedule" or "command".
        now: the time.
        full: read everything; a backfill always does.

    Returns:
        The number of the run, or that of the open one.
    """
    while True:
        with transaction(engine) as connection:
            row = _open_run(connection, workspace_id, kind)
            if row is not None:
                if full and row["state"] == "queued" and not row["detail"].get("full"):
                    detail = {**row["detail"], "full": True}
                    connection.execute(update(sync_runs).where(r.id == row["id"]).values(detail=detail))
                return int(row["id"])
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
                run_id = connection.execute(insert(sync_runs).values(**values).returning(r.id)).scalar_one()
            return int(run_id)
        except IntegrityError:
            # Another process inserted an open run at the same moment; that one is returned.
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
    Lease the open run that was worked on longest ago.

    Args:
        engine: for writing.
        lease: name of the process.
        now: the time.
        only: numbers of the runs to choose from; None for all.

    Returns:
        The run; None if no run is free.
    """
    free = or_(r.lease_until.is_(None), r.lease_until < now, r.lease_by == lease)
    query = select(sync_runs).where(_IS_OPEN, free).order_by(func.coalesce(r.lease_until, r.asked_at), r.id)
    with transaction(engine) as connection:
        for row in connection.execute(query).mappings().all():
            if (only is None or row["id"] in only) and not _is_workspace_busy(connection, row, lease, now):
                return _lease(connection, row, lease, now, free)
    return None


def _is_workspace_busy(connection: Connection, row: RowMapping, lease: str, now: datetime) -> bool:
    """Return whether another run of the workspace is in progress: both would need its one scroll, and read it twice."""
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


def _lease(connection: Connection, row: RowMapping, lease: str, now: datetime, free: Any) -> SyncRun | None:
    started_at = row["started_at"] or now
    detail = dict(row["detail"])
    if "since" not in detail:
        detail["since"] = _changes_since(connection, row, started_at)
    # If another process's lease expired while it writes a page, wait until that page is committed.
    connection.execute(select(r.id).where(r.id == row["id"]).with_for_update())
    updated = connection.execute(
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
    if updated.rowcount != 1:
        return None
    run = SyncRun(row["id"], row["workspace_id"], row["kind"], started_at, lease, detail["since"], detail)
    if row["started_at"] is None:
        rows = [
            {"run_id": run.id, "part": part.name, "stage": part.stage, "state": "open"} for part in first_parts(run)
        ]
        connection.execute(insert(sync_parts), rows)
    return run


def _changes_since(connection: Connection, row: RowMapping, started_at: datetime) -> int:
    """Return the second from which changes are read: a little before the last run started, because lists lag."""
    begin = started_at
    if row["kind"] == "reconcile" and not row["detail"].get("full"):
        query = select(func.max(r.started_at)).where(
            r.workspace_id == row["workspace_id"], r.kind.in_(SYNC_KINDS), r.state == "done"
        )
        begin = connection.execute(query).scalar_one() or datetime.fromtimestamp(0, UTC)
    return max(0, int(begin.timestamp()) - INDEX_LAG_SECONDS)


def lock_run(connection: Connection, run: SyncRun, *, exclusive: bool = False) -> None:
    """
    Lock a leased run until the commit, so that no other process leases or ends it before.

    Args:
        connection: within the transaction that writes a page.
        run: the leased run.
        exclusive: wait also until no other thread of this process writes a page of the run.

    Raises:
        LeaseLostError: another process holds the run, or it has ended; write nothing.
    """
    ours = select(r.id).where(r.id == run.id, r.lease_by == run.lease, r.state == "running")
    # The weaker lock lets `renew_lease` pass, which changes no key.
    lock = ours.with_for_update() if exclusive else ours.with_for_update(read=True, key_share=True)
    if connection.execute(lock).first() is None:
        raise LeaseLostError


def renew_lease(engine: Engine, run: SyncRun, now: datetime) -> None:
    """Renew the lease and store the progress. `lease_run` orders by the lease, so other runs come first next time."""
    with transaction(engine) as connection:
        values = _progress(connection, run) | {"lease_until": now + timedelta(seconds=LEASE_SECONDS)}
        connection.execute(
            update(sync_runs).where(r.id == run.id, r.lease_by == run.lease, r.state == "running").values(**values)
        )


def _progress(connection: Connection, run: SyncRun) -> dict[str, Any]:
    p = sync_parts.c
    open_error = func.max(case((p.state == "open", p.error), else_=None))
    query = select(func.sum(p.expected), func.sum(p.seen), open_error).where(p.run_id == run.id)
    expected, seen, error = connection.execute(query).one()
    return {"expected": expected, "seen": seen or 0, "error": error}


def end_run(
    engine: Engine,
    run: SyncRun,
    state: str,
    now: datetime,
    *,
    error: str | None = None,
    detail: Mapping[str, Any] | None = None,
) -> None:
    """
    End a run, or have it wait for a person; a run that is done updates `sync_status`.

    Args:
        engine: for writing.
        run: the leased run.
        state: "done", "failed" or "waiting".
        now: the time.
        error: a sentence that says what to do.
        detail: keys to add to the run's detail.

    Raises:
        LeaseLostError: another process holds the run.
    """
    with transaction(engine) as connection:
        lock_run(connection, run, exclusive=True)
        values: dict[str, Any] = _progress(connection, run) | {
            "state": state,
            "error": error,
            "detail": {**run.detail, **(detail or {})},
            "lease_until": None,
            "lease_by": None,
        }
        if state != "waiting":
            values["ended_at"] = now
            _delete_rows(connection, sync_seen, run.id)
            _delete_rows(connection, sync_parts, run.id)
        connection.execute(update(sync_runs).where(r.id == run.id).values(**values))
        if state == "done":
            _store_marks(connection, run, now)
            _close_superseded(connection, run, now)


def _delete_rows(connection: Connection, table: Table, run_id: int) -> None:
    connection.execute(delete(table).where(table.c.run_id == run_id))


def _store_marks(connection: Connection, run: SyncRun, now: datetime) -> None:
    column = "last_backfill_at" if run.kind == "backfill" else "last_reconcile_at"
    object_types = ("company", "contact", "segment", "tag")
    rows = [(run.workspace_id, object_type, datetime_text(now)) for object_type in object_types]
    upsert(connection, sync_marks, ("workspace_id", "object_type", column), rows)


def _close_superseded(connection: Connection, run: SyncRun, now: datetime) -> None:
    """Close earlier runs that wait for a person, because this one has read everything again."""
    if not run.is_complete:
        return
    waiting = select(r.id).where(r.workspace_id == run.workspace_id, r.state == "waiting", r.id < run.id)
    for run_id in connection.execute(waiting).scalars().all():
        _delete_rows(connection, sync_seen, run_id)
        _delete_rows(connection, sync_parts, run_id)
        values = {"state": "failed", "error": "A later run replaced this one.", "ended_at": now}
        connection.execute(update(sync_runs).where(r.id == run_id).values(**values))


def accept_deletions(engine: Engine, workspace_id: str | None) -> list[int]:
    """Let reconciles continue that wait for a person to confirm their deletions; returns their numbers."""
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
