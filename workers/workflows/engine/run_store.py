"""Runs in SQL: leased by a process, read whole, and written back in batches."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, RowMapping, Table, and_, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from models.db.engine import transaction
from models.tables.workflow_tables import workflow_effects, workflow_runs, workflow_steps
from workers.workflows.engine.decide_next_step import StepRecord, WorkflowRun
from workers.workflows.format.workflow import Workflow

# Seconds for which a process has a run to itself, renewed while it works on it. A killed process delays its runs by
# this much. It is more than the longest step takes: some fifty seconds, if Intercom is at its slowest.
LEASE_SECONDS = 90.0

r = workflow_runs.c


class LeasedRun(NamedTuple):
    """A run that this process works on: its row, the workflow that it follows, and its stored state."""

    row: Mapping[str, Any]
    workflow: Workflow
    run: WorkflowRun

    @property
    def id(self) -> int:
        """The number of the run."""
        return int(self.row["id"])


class StepEffects(NamedTuple):
    """
    The objects that a step may be changing, or has changed.

    `objects`: type, id and new updated_at; each may be None while it is unknown. `ended_at`: None while the step is in
    progress.
    """

    position: int
    objects: Sequence[tuple[str | None, str | None, int | None]]
    is_message: bool
    started_at: datetime
    ended_at: datetime | None


class RunUpdate(NamedTuple):
    """The new state of a leased run, to be written; `keep_lease`: whether the process continues to work on it."""

    leased: LeasedRun
    run: WorkflowRun
    effects: Sequence[StepEffects]
    keep_lease: bool


def lease_due(
    reader: Engine, writer: Engine, lease: str, now: datetime, limit: int, busy: set[int]
) -> list[RowMapping]:
    """
    Lease runs that are due and that no other process works on.

    Args:
        reader: engine for reading, which finds out whether there are any without a lock.
        writer: engine for writing.
        lease: the name of this process.
        now: the time.
        limit: of the number of runs.
        busy: the ids of runs that this process works on already.
    """
    free = or_(r.lease_until.is_(None), r.lease_until < now, r.lease_by == lease)
    due = and_(r.state == "queued", r.due_at <= now, free)
    query = select(r.id).where(due, r.id.not_in(busy)).order_by(r.due_at, r.id).limit(limit)
    with reader.connect() as connection:
        if connection.execute(query.limit(1)).first() is None:
            return []
    with transaction(writer) as connection:
        ids = list(connection.execute(query.with_for_update(skip_locked=True)).scalars())
        until = now + timedelta(seconds=LEASE_SECONDS)
        connection.execute(update(workflow_runs).where(r.id.in_(ids)).values(lease_by=lease, lease_until=until))
        return list(connection.execute(select(workflow_runs).where(r.id.in_(ids)).order_by(r.id)).mappings().all())


def read_runs(connection: Connection, rows: Sequence[RowMapping]) -> list[WorkflowRun]:
    """Return the stored states of runs, in the order of their rows."""
    s = workflow_steps.c
    steps: dict[int, dict[int, StepRecord]] = {int(row["id"]): {} for row in rows}
    for row in connection.execute(select(workflow_steps).where(s.run_id.in_(steps))).mappings():
        steps[row["run_id"]][row["position"]] = StepRecord(
            row["state"],
            row["attempts"],
            _to_seconds(row["started_at"]) or 0.0,
            _to_seconds(row["ended_at"]),
            _to_seconds(row["due_at"]) or 0.0,
            row["input"],
            row["output"],
            row["error"],
        )
    return [
        WorkflowRun(row["state"], row["position"], steps[row["id"]], row["error"], row["due_at"].timestamp())
        for row in rows
    ]


def write_runs(writer: Engine, lease: str, updates: Sequence[RunUpdate], now: datetime) -> set[int]:
    """Write the new states of those runs whose lease is still ours, in one transaction; return their ids."""
    if not updates:
        return set()
    ours = set()
    with transaction(writer) as connection:
        # In the order of ids, so that two processes cannot deadlock.
        for each in sorted(updates, key=lambda one: one.leased.id):
            if _write_run(connection, lease, each, now):
                ours.add(each.leased.id)
        written = [each for each in updates if each.leased.id in ours]
        _end_effects(connection, ours, now)
        _upsert(connection, workflow_steps, [row for each in written for row in _step_rows(each)])
        _upsert(connection, workflow_effects, [row for each in written for row in _effect_rows(each)])
    return ours


def _write_run(connection: Connection, lease: str, run_update: RunUpdate, now: datetime) -> bool:
    run = run_update.run
    until = now + timedelta(seconds=LEASE_SECONDS)
    lease_columns = {"lease_until": until} if run_update.keep_lease else {"lease_by": None, "lease_until": None}
    written = connection.execute(
        update(workflow_runs)
        .where(r.id == run_update.leased.id, r.lease_by == lease, r.state == "queued")
        .values(
            state=run.state,
            position=run.position,
            due_at=_to_datetime(run.due_at) or now,
            ended_at=None if run.is_open else now,
            error=run.error,
            **lease_columns,
        )
    )
    return written.rowcount == 1


def _step_rows(run_update: RunUpdate) -> list[dict[str, Any]]:
    leased, before = run_update.leased, run_update.leased.run.steps
    return [
        {
            "run_id": leased.id,
            "position": position,
            "step": leased.workflow.steps[position].id,
            "kind": leased.workflow.steps[position].kind,
            "state": record.state,
            "attempts": record.attempts,
            "due_at": _to_datetime(record.due_at),
            "input": record.input,
            "output": record.output,
            "error": record.error,
            "started_at": _to_datetime(record.started_at),
            "ended_at": _to_datetime(record.ended_at),
        }
        for position, record in sorted(run_update.run.steps.items())
        if before.get(position) != record
    ]


def _effect_rows(run_update: RunUpdate) -> list[dict[str, Any]]:
    leased = run_update.leased
    rows = {}
    for effects in run_update.effects:
        for number, (object_type, object_id, version) in enumerate(effects.objects or [(None, None, None)]):
            rows[effects.position, number] = {
                "run_id": leased.id,
                "position": effects.position,
                "number": number,
                "workflow": leased.workflow.name,
                "workspace_id": leased.row["workspace_id"],
                "object_type": object_type,
                "object_id": object_id,
                "version": version,
                "is_message": effects.is_message,
                "started_at": effects.started_at,
                "ended_at": effects.ended_at,
            }
    return list(rows.values())


def _end_effects(connection: Connection, ids: set[int], now: datetime) -> None:
    # Steps that start now write theirs again after this. All other steps have ended, in whatever way.
    e = workflow_effects.c
    connection.execute(update(workflow_effects).where(e.run_id.in_(ids), e.ended_at.is_(None)).values(ended_at=now))


def fail_runs(writer: Engine, ids: Sequence[int], error: str, now: datetime) -> None:
    """End runs that cannot continue."""
    if ids:
        with transaction(writer) as connection:
            values = {"state": "failed", "error": error, "ended_at": now, "lease_by": None, "lease_until": None}
            connection.execute(update(workflow_runs).where(r.id.in_(ids)).values(**values))
            _end_effects(connection, set(ids), now)


def renew_leases(writer: Engine, lease: str, ids: set[int], now: datetime) -> None:
    """Extend the leases of runs whose steps take long."""
    with transaction(writer) as connection:
        connection.execute(
            update(workflow_runs)
            .where(r.id.in_(ids), r.lease_by == lease)
            .values(lease_until=now + timedelta(seconds=LEASE_SECONDS))
        )


def insert_new(connection: Connection, table: Table, values: dict[str, Any] | Sequence[dict[str, Any]]) -> None:
    """Insert the rows that do not exist yet."""
    if values:
        dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
        connection.execute(dialect.insert(table).on_conflict_do_nothing(), values)


def _upsert(connection: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    """Insert rows, or overwrite those with the same key; all rows have the same columns."""
    if not rows:
        return
    dialect: Any = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table)
    key = [column.name for column in table.primary_key]
    changed = {name: statement.excluded[name] for name in rows[0] if name not in key}
    connection.execute(statement.on_conflict_do_update(index_elements=key, set_=changed), list(rows))


def _to_seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _to_datetime(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
