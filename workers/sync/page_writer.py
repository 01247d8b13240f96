"""Writing what was read: the rows of a few pages, and how far their parts are, in one transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, case, func, or_, select, update

from models.apply import apply
from models.db.bulk import insert_new
from models.db.engine import transaction
from models.db.errors import is_database_unavailable
from models.rule.observations import Report
from models.tables.sync_tables import sync_parts, sync_seen
from workers.sync import runs
from workers.sync.parts import PageResult, Part, SyncRun

log = structlog.get_logger()

# Seconds before a part that failed is tried again, doubled each time, up to the longest.
FIRST_RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 300.0

p = sync_parts.c


def write_results(engine: Engine, run: SyncRun, steps: Sequence[PageResult]) -> None:
    """
    Write steps in the order in which they were read; where the database refuses an object, all but that one.

    Raises:
        LeaseLostError: somebody else works on the run; nothing was written.
        sqlalchemy.exc.OperationalError: the database is away; nothing was written.
    """
    try:
        _commit(engine, run, steps)
    except runs.LeaseLostError:
        raise
    except Exception as error:
        if is_database_unavailable(error):
            raise
        if len(steps) > 1:
            for step in steps:
                write_results(engine, run, [step])
            return
        _one_by_one(engine, run, steps[0].reports)
        _commit(engine, run, steps, rows=False)


def _commit(engine: Engine, run: SyncRun, steps: Sequence[PageResult], *, rows: bool = True) -> None:
    now = datetime.now(UTC)
    told = [report for step in steps for report in step.reports] if rows else []
    with transaction(engine) as connection:
        runs.lock_run(connection, run)
        _remember(connection, run, steps)
        for step in steps:
            _advance(connection, run, step)
        told += [report for step in steps if step.also for report in step.also(connection)]
        if told:
            # Last, as it takes the feed's lock, for which every other writer waits.
            apply(connection, told, now)


def _one_by_one(engine: Engine, run: SyncRun, reports: Sequence[Report]) -> None:
    for report in reports:
        try:
            with transaction(engine) as connection:
                apply(connection, [report], datetime.now(UTC))
        except Exception as error:
            if is_database_unavailable(error):
                raise
            seen = report.observations[0]
            log.warning(
                "a listed object is refused by the database",
                run=run.id,
                object_type=seen.type,
                object_id=seen.id,
                error=type(error).__name__,
            )


def _remember(connection: Connection, run: SyncRun, steps: Sequence[PageResult]) -> None:
    shown = {(run.id, step.shown[0], object_id) for step in steps if step.shown for object_id in step.shown[1]}
    insert_new(connection, sync_seen, ("run_id", "kind", "object_id"), sorted(shown))
    more = {(run.id, new.part, new.stage, "open") for step in steps for new in step.more}
    insert_new(connection, sync_parts, ("run_id", "part", "stage", "state"), sorted(more))


def _advance(connection: Connection, run: SyncRun, step: PageResult) -> None:
    values: dict[str, Any] = {"cursor": step.cursor, "seen": step.seen, "expected": step.expected}
    if step.done:
        values["state"] = "done"
    if step.done or step.cursor is not None:
        # A part without a cursor begins anew after a failure, so that its pages are no progress.
        values |= {"attempts": 0, "error": None}
    connection.execute(update(sync_parts).where(p.run_id == run.id, p.part == step.part).values(**values))


def schedule_retry(
    engine: Engine, run: SyncRun, part: Part, error: str, seconds: float, *, restart: bool = False
) -> None:
    """Try a part again later; `restart`: from its beginning, as its cursor is not taken any more."""
    now = datetime.now(UTC)
    pause = min(max(FIRST_RETRY_SECONDS * 2.0**part.attempts, seconds), MAX_RETRY_SECONDS)
    with transaction(engine) as connection:
        runs.lock_run(connection, run)
        values = {"attempts": p.attempts + 1, "retry_at": now + timedelta(seconds=pause), "error": error}
        of_part = update(sync_parts).where(p.run_id == run.id, p.part == part.part)
        connection.execute(of_part.values(**values | ({"cursor": None} if restart else {})))


def mark_refused(engine: Engine, run: SyncRun, part: Part, error: str) -> None:
    """Give a part up; the run goes on with the others."""
    with transaction(engine) as connection:
        runs.lock_run(connection, run)
        of_part = update(sync_parts).where(p.run_id == run.id, p.part == part.part)
        connection.execute(of_part.values(state="refused", error=error))


def readable_parts(reader: Engine, run: SyncRun) -> list[Part]:
    """Return the parts that can be read now: those of the earliest stage that has any left."""
    now = datetime.now(UTC)
    stage = select(func.min(p.stage)).where(p.run_id == run.id, p.state == "open").scalar_subquery()
    due = or_(p.retry_at.is_(None), p.retry_at <= now)
    # Companies first: they are one long queue, beside which everything else goes on.
    order = (case((p.part == "companies", 0), else_=1), p.part)
    query = select(p.part, p.stage, p.cursor, p.attempts).where(
        p.run_id == run.id, p.state == "open", p.stage == stage, due
    )
    with reader.connect() as connection:
        return [Part(*row) for row in connection.execute(query.order_by(*order))]


def left(reader: Engine, run: SyncRun) -> tuple[int, dict[str, str]]:
    """Return how many parts are open, and which were refused, with the reason."""
    query = select(p.part, p.state, p.error).where(p.run_id == run.id, p.state != "done")
    with reader.connect() as connection:
        found = connection.execute(query).all()
    return sum(row[1] == "open" for row in found), {row[0]: row[2] for row in found if row[1] == "refused"}
