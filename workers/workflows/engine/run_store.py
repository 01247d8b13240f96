"""The runs that a process has in hand: taken by lease, read whole, and written back in batches."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, Engine, RowMapping, and_, or_, select, update

from models.db.engine import transaction
from models.tables.workflow_tables import workflow_effects, workflow_runs, workflow_steps
from workers.workflows.engine.state_machine import StepRecord, WorkflowRun
from workers.workflows.format.workflow import Workflow
from workers.workflows.rows import put

# Seconds for which a process has a run to itself, renewed while it works on it. A process that was killed costs its
# runs this much; it is more than a step takes at its longest (some fifty seconds, at Intercom's worst).
LEASE_SECONDS = 90.0

r = workflow_runs.c


class LeasedRun(NamedTuple):
    """A run in hand: its `row`, what it follows, and how it stands in SQL."""

    row: Mapping[str, Any]
    workflow: Workflow
    run: WorkflowRun

    @property
    def id(self) -> int:
        """Its number."""
        return int(self.row["id"])


class StepEffects(NamedTuple):
    """What a step is about to change, or has: objects with their new updated_at."""

    position: int
    objects: Sequence[tuple[str | None, str | None, int | None]]
    is_message: bool
    started_at: datetime
    ended_at: datetime | None


class RunUpdate(NamedTuple):
    """How a run stands now, to be written; `keep`: whether it stays in hand."""

    held: LeasedRun
    run: WorkflowRun
    notes: Sequence[StepEffects]
    keep: bool


def take(reader: Engine, writer: Engine, lease: str, now: datetime, limit: int, busy: set[int]) -> list[RowMapping]:
    """Take runs that are due, and that nobody works on; `busy` are those in hand."""
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


def standing(connection: Connection, rows: Sequence[RowMapping]) -> list[WorkflowRun]:
    """Read how runs stand."""
    s = workflow_steps.c
    found: dict[int, dict[int, StepRecord]] = {int(row["id"]): {} for row in rows}
    for row in connection.execute(select(workflow_steps).where(s.run_id.in_(found))).mappings():
        found[row["run_id"]][row["position"]] = StepRecord(
            row["state"],
            row["attempts"],
            _seconds(row["started_at"]) or 0.0,
            _seconds(row["ended_at"]),
            _seconds(row["due_at"]) or 0.0,
            row["input"],
            row["output"],
            row["error"],
        )
    return [
        WorkflowRun(row["state"], row["position"], found[row["id"]], row["error"], row["due_at"].timestamp())
        for row in rows
    ]


def write(writer: Engine, lease: str, changed: Sequence[RunUpdate], now: datetime) -> set[int]:
    """Write how runs stand, of those whose lease is still ours; returns their numbers."""
    if not changed:
        return set()
    ours = set()
    with transaction(writer) as connection:
        for each in sorted(changed, key=lambda one: one.held.id):
            if _write_run(connection, lease, each, now):
                ours.add(each.held.id)
        mine = [each for each in changed if each.held.id in ours]
        _close_effects(connection, ours, now)
        put(connection, workflow_steps, [row for each in mine for row in _steps(each)])
        put(connection, workflow_effects, [row for each in mine for row in _effects(each)])
    return ours


def _write_run(connection: Connection, lease: str, change: RunUpdate, now: datetime) -> bool:
    run = change.run
    ended = None if run.is_open else now
    until = now + timedelta(seconds=LEASE_SECONDS)
    lease_now = {"lease_until": until} if change.keep else {"lease_by": None, "lease_until": None}
    written = connection.execute(
        update(workflow_runs)
        .where(r.id == change.held.id, r.lease_by == lease, r.state == "queued")
        .values(
            state=run.state,
            position=run.position,
            due_at=_moment(run.due_at) or now,
            ended_at=ended,
            error=run.error,
            **lease_now,
        )
    )
    return written.rowcount == 1


def _steps(change: RunUpdate) -> list[dict[str, Any]]:
    before = change.held.run.steps
    return [
        {
            "run_id": change.held.id,
            "position": position,
            "step": change.held.workflow.steps[position].id,
            "kind": change.held.workflow.steps[position].kind,
            "state": record.state,
            "attempts": record.attempts,
            "due_at": _moment(record.due_at),
            "input": record.input,
            "output": record.output,
            "error": record.error,
            "started_at": _moment(record.started_at),
            "ended_at": _moment(record.ended_at),
        }
        for position, record in sorted(change.run.steps.items())
        if before.get(position) != record
    ]


def _effects(change: RunUpdate) -> list[dict[str, Any]]:
    rows = {}
    for note in change.notes:
        for number, (object_type, object_id, version) in enumerate(note.objects or [(None, None, None)]):
            rows[note.position, number] = {
                "run_id": change.held.id,
                "position": note.position,
                "number": number,
                "workflow": change.held.workflow.name,
                "workspace_id": change.held.row["workspace_id"],
                "object_type": object_type,
                "object_id": object_id,
                "version": version,
                "is_message": note.is_message,
                "started_at": note.started_at,
                "ended_at": note.ended_at,
            }
    return list(rows.values())


def _close_effects(connection: Connection, ids: set[int], now: datetime) -> None:
    # Those of steps that are begun now are written anew after this; all others are over, however they ended.
    e = workflow_effects.c
    connection.execute(update(workflow_effects).where(e.run_id.in_(ids), e.ended_at.is_(None)).values(ended_at=now))


def refuse(writer: Engine, ids: Sequence[int], error: str, now: datetime) -> None:
    """End runs that cannot go on."""
    if ids:
        with transaction(writer) as connection:
            values = {"state": "failed", "error": error, "ended_at": now, "lease_by": None, "lease_until": None}
            connection.execute(update(workflow_runs).where(r.id.in_(ids)).values(**values))
            _close_effects(connection, set(ids), now)


def renew(writer: Engine, lease: str, ids: set[int], now: datetime) -> None:
    """Keep the lease of runs whose steps take long."""
    with transaction(writer) as connection:
        connection.execute(
            update(workflow_runs)
            .where(r.id.in_(ids), r.lease_by == lease)
            .values(lease_until=now + timedelta(seconds=LEASE_SECONDS))
        )


def _seconds(moment: datetime | None) -> float | None:
    return None if moment is None else moment.timestamp()


def _moment(seconds: float | None) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
