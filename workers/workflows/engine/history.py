"""What became of runs: looked at, let go on by a person, and forgotten in time."""

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, delete, func, insert, select, update

from models.db.engine import transaction
from models.tables.workflow_tables import workflow_effects, workflow_files, workflow_runs, workflow_steps

r = workflow_runs.c

# States in which a run waits for a person, or ended so that one may want it once more.
_ENDED_BADLY = ("failed", "unknown")
_ENDED = (*_ENDED_BADLY, "done", "stopped", "ignored")

# Runs deleted in one transaction: well below a second's work, as each has some steps.
PAGE = 1_000


class ReplayError(Exception):
    """A run cannot be replayed; the text says what to do instead."""


def list_runs(
    engine: Engine, limit: int, *, workflow: str | None = None, state: str | None = None
) -> list[dict[str, Any]]:
    """Return runs, the newest first, without what they are about."""
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
    """Return a run and its steps; None if there is no such run."""
    s = workflow_steps.c
    with engine.connect() as connection:
        row = connection.execute(select(workflow_runs).where(r.id == run_id)).mappings().one_or_none()
        steps = select(workflow_steps).where(s.run_id == run_id).order_by(s.position)
        found = [dict(step) for step in connection.execute(steps).mappings()]
    return None if row is None else (dict(row), found)


def run_counts(engine: Engine) -> dict[str, dict[str, int]]:
    """Return how many runs of each workflow are in each state."""
    query = select(r.workflow, r.state, func.count()).group_by(r.workflow, r.state)
    found: dict[str, dict[str, int]] = {}
    with engine.connect() as connection:
        for workflow, state, number in connection.execute(query):
            found.setdefault(workflow, {})[state] = number
    return found


def replay(engine: Engine, run_id: int, now: datetime, *, whole: bool = False) -> int:
    """
    Let a run go on at the step that ended it; `whole`: begin a new run of the same change, with the file as it is now.

    Returns:
        The run's number.

    Raises:
        ReplayError: it has not ended, or not badly.
    """
    with transaction(engine) as connection:
        query = select(workflow_runs).where(r.id == run_id).with_for_update()
        row = connection.execute(query).mappings().one_or_none()
        if row is None:
            raise ReplayError(f"There is no run {run_id}. Look at `intercom-mirror workflows runs`.")
        if row["state"] not in _ENDED:
            raise ReplayError(f"Run {run_id} has not ended; it goes on by itself.")
        if whole:
            return _begin_anew(connection, dict(row), now)
        if row["state"] not in _ENDED_BADLY:
            raise ReplayError(f"Run {run_id} ended well. Write --whole to do all of it once more.")
        s = workflow_steps.c
        connection.execute(delete(workflow_steps).where(s.run_id == run_id, s.position >= row["position"]))
        connection.execute(
            update(workflow_runs)
            .where(r.id == run_id)
            .values(state="queued", due_at=now, ended_at=None, error=None, replays=row["replays"] + 1)
        )
        return run_id


def _begin_anew(connection: Connection, row: dict[str, Any], now: datetime) -> int:
    same = (r.workflow == row["workflow"], r.change_seq == row["change_seq"])
    copy = connection.execute(select(func.max(r.copy)).where(*same)).scalar_one()
    f = workflow_files.c
    digest = connection.execute(select(f.digest).where(f.name == row["workflow"])).scalar_one()
    kept = ("workflow", "workspace_id", "object_type", "object_id", "change_seq", "change", "record")
    values = {name: row[name] for name in kept} | {
        "digest": digest,
        "copy": copy + 1,
        "state": "queued",
        "due_at": now,
        "started_at": now,
    }
    return int(connection.execute(insert(workflow_runs).values(**values).returning(r.id)).scalar_one())


def delete_ended_runs(engine: Engine, before: datetime) -> int:
    """Forget runs that ended before this moment, page by page; returns how many."""
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
