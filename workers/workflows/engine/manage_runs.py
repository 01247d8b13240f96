"""Manage runs: list and show them, replay one, and delete old ones."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from models.db.engine import transaction
from models.tables.workflow_tables import workflow_effects, workflow_files, workflow_runs, workflow_steps

r = workflow_runs.c

# States in which a run waits for a user, and those in which a run has ended.
_ENDED_BADLY = ("failed", "unknown")
_ENDED = (*_ENDED_BADLY, "done", "stopped", "ignored")

# Runs deleted in one transaction: well below a second's work, although each has several steps.
PAGE = 1_000


class ReplayError(Exception):
    """A run cannot be replayed; the text explains what to do instead."""


def list_runs(
    engine: Engine, limit: int, *, workflow: str | None = None, state: str | None = None
) -> list[dict[str, Any]]:
    """Return runs, newest first, without their record and change. Ignored runs are included only by their state."""
    columns = (
        r.id,
        r.workflow,
        r.workspace_id,
        r.object_type,
        r.object_id,
        r.change_seq,
        r.state,
        r.position,
        r.due_at,
        r.started_at,
        r.ended_at,
        r.error,
    )
    query = select(*columns).order_by(r.id.desc()).limit(limit)
    query = query if workflow is None else query.where(r.workflow == workflow)
    query = query.where(r.state != "ignored") if state is None else query.where(r.state == state)
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def find_run(engine: Engine, run_id: int) -> tuple[dict[str, Any], list[dict[str, Any]]] | None:
    """Return a run and its steps; None if the run does not exist."""
    s = workflow_steps.c
    with engine.connect() as connection:
        row = connection.execute(select(workflow_runs).where(r.id == run_id)).mappings().one_or_none()
        query = select(workflow_steps).where(s.run_id == run_id).order_by(s.position)
        steps = [dict(step) for step in connection.execute(query).mappings()]
    return None if row is None else (dict(row), steps)


def run_counts(engine: Engine) -> dict[str, dict[str, int]]:
    """Return the number of runs by workflow and state."""
    query = select(r.workflow, r.state, func.count()).group_by(r.workflow, r.state)
    counts: dict[str, dict[str, int]] = {}
    with engine.connect() as connection:
        for workflow, state, number in connection.execute(query):
            counts.setdefault(workflow, {})[state] = number
    return counts


def replay(engine: Engine, run_id: int, now: datetime, *, whole: bool = False) -> int:
    """
    Continue a run at the step that ended it.

    Args:
        engine: to write with.
        run_id: the number of the run.
        now: the time.
        whole: start a new run of the same change instead, with the present file.

    Returns:
        The number of the run that continues or starts.

    Raises:
        ReplayError: the run does not exist, has not ended, or ended well.
    """
    with transaction(engine) as connection:
        query = select(workflow_runs).where(r.id == run_id).with_for_update()
        row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise ReplayError(f"Run {run_id} does not exist. See `intercom-mirror workflows runs`.")
        if row["state"] not in _ENDED:
            raise ReplayError(f"Run {run_id} has not ended; it continues by itself.")
        if whole:
            return _start_copy(connection, dict(row), now)
        if row["state"] not in _ENDED_BADLY:
            raise ReplayError(f"Run {run_id} ended well. Use --whole to repeat all of it.")
        s = workflow_steps.c
        connection.execute(delete(workflow_steps).where(s.run_id == run_id, s.position >= row["position"]))
        connection.execute(
            update(workflow_runs)
            .where(r.id == run_id)
            .values(state="queued", due_at=now, ended_at=None, error=None, replays=row["replays"] + 1)
        )
        return run_id


def _start_copy(connection: Connection, row: dict[str, Any], now: datetime) -> int:
    same_change = (r.workflow == row["workflow"], r.change_seq == row["change_seq"])
    last_copy = connection.execute(select(func.max(r.copy)).where(*same_change)).scalar_one()
    f = workflow_files.c
    digest = connection.execute(select(f.digest).where(f.name == row["workflow"])).scalar_one()
    copied = ("workflow", "workspace_id", "object_type", "object_id", "change_seq", "change", "record")
    values = {name: row[name] for name in copied} | {
        "digest": digest,
        "copy": last_copy + 1,
        "state": "queued",
        "due_at": now,
        "started_at": now,
    }
    return int(connection.execute(insert(workflow_runs).values(**values).returning(r.id)).scalar_one())


def delete_ended_runs(engine: Engine, before: datetime) -> int:
    """Delete the runs that ended before a moment, page by page; return how many."""
    total = 0
    while True:
        with transaction(engine) as connection:
            old = list(connection.execute(select(r.id).where(r.ended_at < before).limit(PAGE)).scalars())
            for table in (workflow_steps, workflow_effects):
                connection.execute(delete(table).where(table.c.run_id.in_(old)))
            connection.execute(delete(workflow_runs).where(r.id.in_(old)))
        total += len(old)
        if len(old) < PAGE:
            return total
