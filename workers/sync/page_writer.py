"""Write the results of reading: the rows of a few pages and the cursors of their parts, in one transaction."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Engine, case, func, or_, select, update

from models.apply import apply
from models.db.bulk import insert_new
from models.db.database_errors import is_database_unavailable
from models.db.engine import transaction
from models.rule.observations import Report
from models.tables.sync_tables import sync_parts, sync_seen
from workers.sync import runs
from workers.sync.run_parts import PageResult, Part, SyncRun

log = structlog.get_logger()

# Seconds before a part that failed is retried, doubled after each failure, up to the maximum.
FIRST_RETRY_SECONDS = 1.0
MAX_RETRY_SECONDS = 300.0

p = sync_parts.c


def write_results(engine: Engine, run: SyncRun, results: Sequence[PageResult]) -> None:
    """
    Write results in the order in which they were read.

    1. Lock the run's row, so that a process that lost its lease writes nothing.
    2. Record the listed ids, add the new parts, and update the cursors and counts of the parts.
    3. Apply the reports, and commit all of it together.
    4. If the database rejects the transaction, write each result alone; if it rejects a result, write each object of
       it alone and leave out those that it rejects, then write the cursor.

    Raises:
        LeaseLostError: another process holds the run; nothing was written.
        sqlalchemy.exc.OperationalError: the database is unavailable; nothing was written.
    """
    try:
        _commit(engine, run, results)
    except runs.LeaseLostError:
        raise
    except Exception as error:
        if is_database_unavailable(error):
            raise
        if len(results) > 1:
            for result in results:
                write_results(engine, run, [result])
            return
        _apply_one_by_one(engine, run, results[0].reports)
        _commit(engine, run, results, with_reports=False)


def _commit(engine: Engine, run: SyncRun, results: Sequence[PageResult], *, with_reports: bool = True) -> None:
    now = datetime.now(UTC)
    reports = [report for result in results for report in result.reports] if with_reports else []
    with transaction(engine) as connection:
        runs.lock_run(connection, run)
        _store_listed_and_new(connection, run, results)
        for result in results:
            _store_progress(connection, run, result)
            if result.store:
                result.store(connection)
        if reports:
            # Last, because it takes the lock of the change feed, for which every other writer waits.
            apply(connection, reports, now)


def _apply_one_by_one(engine: Engine, run: SyncRun, reports: Sequence[Report]) -> None:
    for report in reports:
        try:
            with transaction(engine) as connection:
                apply(connection, [report], datetime.now(UTC))
        except Exception as error:
            if is_database_unavailable(error):
                raise
            observation = report.observations[0]
            log.warning(
                "listed object rejected by the database",
                run=run.id,
                object_type=observation.type,
                object_id=observation.id,
                error=type(error).__name__,
            )


def _store_listed_and_new(connection: Connection, run: SyncRun, results: Sequence[PageResult]) -> None:
    listed = {
        (run.id, result.listed[0], object_id) for result in results if result.listed for object_id in result.listed[1]
    }
    insert_new(connection, sync_seen, ("run_id", "kind", "object_id"), sorted(listed))
    parts = {(run.id, new.name, new.stage, "open") for result in results for new in result.new_parts}
    insert_new(connection, sync_parts, ("run_id", "part", "stage", "state"), sorted(parts))


def _store_progress(connection: Connection, run: SyncRun, result: PageResult) -> None:
    values: dict[str, Any] = {"cursor": result.cursor, "seen": result.seen, "expected": result.expected}
    if result.done:
        values["state"] = "done"
    if result.done or result.cursor is not None:
        # A part without a cursor starts again after a failure, so that its pages are no progress.
        values |= {"attempts": 0, "error": None}
    connection.execute(update(sync_parts).where(p.run_id == run.id, p.part == result.part).values(**values))


def schedule_retry(
    engine: Engine, run: SyncRun, part: Part, error: str, seconds: float, *, restart: bool = False
) -> None:
    """
    Have a part read again later.

    Args:
        engine: for writing.
        run: the run of the part.
        part: the part that failed.
        error: a sentence for the part's row.
        seconds: the least time to wait; the time grows with the failures of the part.
        restart: read the part from its beginning, because Intercom rejected its cursor.
    """
    now = datetime.now(UTC)
    pause = min(max(FIRST_RETRY_SECONDS * 2.0**part.attempts, seconds), MAX_RETRY_SECONDS)
    values: dict[str, Any] = {"attempts": p.attempts + 1, "retry_at": now + timedelta(seconds=pause), "error": error}
    if restart:
        values["cursor"] = None
    _update_part(engine, run, part, values)


def mark_refused(engine: Engine, run: SyncRun, part: Part, error: str) -> None:
    """Give up a part; the run continues with the others."""
    _update_part(engine, run, part, {"state": "refused", "error": error})


def _update_part(engine: Engine, run: SyncRun, part: Part, values: dict[str, Any]) -> None:
    with transaction(engine) as connection:
        runs.lock_run(connection, run)
        connection.execute(update(sync_parts).where(p.run_id == run.id, p.part == part.name).values(**values))


def readable_parts(reader: Engine, run: SyncRun) -> list[Part]:
    """Return the parts to read now: the open parts of the earliest stage that has any, except those to retry later."""
    now = datetime.now(UTC)
    stage = select(func.min(p.stage)).where(p.run_id == run.id, p.state == "open").scalar_subquery()
    due = or_(p.retry_at.is_(None), p.retry_at <= now)
    # Companies first: their pages can only be read one after the other, while everything else is read in parallel.
    order = (case((p.part == "companies", 0), else_=1), p.part)
    query = select(p.part, p.stage, p.cursor, p.attempts).where(
        p.run_id == run.id, p.state == "open", p.stage == stage, due
    )
    with reader.connect() as connection:
        return [Part(*row) for row in connection.execute(query.order_by(*order))]


def unfinished_parts(reader: Engine, run: SyncRun) -> tuple[int, dict[str, str]]:
    """Return the number of open parts, and the reasons of refused parts by their names."""
    query = select(p.part, p.state, p.error).where(p.run_id == run.id, p.state != "done")
    with reader.connect() as connection:
        rows = connection.execute(query).all()
    return sum(row[1] == "open" for row in rows), {row[0]: row[2] for row in rows if row[1] == "refused"}
