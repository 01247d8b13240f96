"""
Refetching dirty objects: those whose stored state may differ from Intercom's.

An object is dirty while its counter `dirty` is greater than its counter `clean` (models.rule). However many
notifications made it dirty, it is fetched once. One round:

1.  Select objects that are dirty and whose pause is over, ROUND_SIZE at most.
2.  Fetch them from Intercom, CONCURRENT_FETCHES at a time. After FETCH_SECONDS no further fetch begins; the remaining
    objects are left for the next round.
3.  If it is uncertain whether a contact is archived, and its GET does not say, search for it too: searches hide
    archived contacts.
4.  Apply all results in one transaction. A result clears the value of `dirty` at which its fetch began, so an object
    that became dirty again meanwhile stays dirty.
5.  In the same transaction, set a pause for each object that is still dirty, twice as long each time; clear the pause
    of the others.
6.  If the database rejects the transaction, repeat steps 4 and 5 for each object alone. An object that is rejected
    alone only gets its pause.
"""

import time
from collections.abc import Collection, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from msgspec.structs import replace
from sqlalchemy import Engine, Update, case, null, or_, select, update

from intercom_api.errors import IntercomError
from models.apply import apply
from models.db.database_errors import is_database_unavailable
from models.db.engine import transaction
from models.rule.decide import archived_by_fetch
from models.rule.observations import Report
from models.rule.state import decode_registers
from models.tables.internal_tables import object_states
from settings.units import MS_PER_SECOND
from workers.facts.from_fetch import (
    SEARCHABLE_CONTACT,
    Fetch,
    FetchResult,
    FoundObject,
    MissingObject,
    report_from_fetch,
)
from workers.facts.from_listing import lagged_as_of

log = structlog.get_logger()

# Objects in one round: enough to write them in bulk.
ROUND_SIZE = 100
# Seconds for which a round begins fetches: well below the task's time limit, so that slow results are applied.
FETCH_SECONDS = 5.0
# With 200 ms per call and three calls per object, a round of 100 takes four seconds.
CONCURRENT_FETCHES = 16

# Seconds before an object that is still dirty is fetched again. Doubled with each attempt, up to the maximum.
FIRST_PAUSE_SECONDS = 2
MAX_PAUSE_SECONDS = 3600


class DirtyObject(NamedTuple):
    """
    An object to be refetched.

    Args:
        workspace_id: part of its key.
        object_type: part of its key.
        object_id: part of its key.
        dirty: its counter before the fetch.
        refetch_attempts: fetches since it was last clean.
        archived_as_of: unix second of the newest fact about whether it is archived, where that fact is uncertain; 0
            for a contact that only links refer to, about which there is no such fact; None where it is certain.
    """

    workspace_id: str
    object_type: str
    object_id: str
    dirty: int
    refetch_attempts: int
    archived_as_of: int | None


# An object with its report; None if the fetch failed or its result cannot be read.
FetchedItem = tuple[DirtyObject, Report | None]


def refetch_dirty(
    engine: Engine, fetch: Fetch, now: datetime, limit: int = ROUND_SIZE, workspaces: Collection[str] | None = None
) -> int:
    """
    Fetch and apply one round of dirty objects; call it again until it returns 0. See the module's docstring.

    Args:
        engine: for writing.
        fetch: fetches from Intercom; called from several threads at once.
        now: UTC.
        limit: objects in the round.
        workspaces: those whose objects can be fetched; None for all.

    Returns:
        How many objects were fetched, successfully or not.
    """
    fetched = _fetch_all(fetch, _select_dirty(engine, now, limit, workspaces))
    _apply_or_split(engine, fetched, now)
    if fetched:
        log.info("refetched", asked=len(fetched), answered=sum(report is not None for _, report in fetched))
    return len(fetched)


def _select_dirty(engine: Engine, now: datetime, limit: int, workspaces: Collection[str] | None) -> list[DirtyObject]:
    c = object_states.c
    query = (
        select(c.workspace_id, c.object_type, c.object_id, c.dirty, c.refetch_attempts, c.registers)
        .where(c.dirty > c.clean, or_(c.refetch_after.is_(None), c.refetch_after <= now))
        .limit(limit)
    )
    if workspaces is not None:
        query = query.where(c.workspace_id.in_(workspaces))
    with transaction(engine) as connection:
        return [DirtyObject(*row[:5], _archived_as_of(row.registers)) for row in connection.execute(query)]


def _archived_as_of(registers: str) -> int | None:
    state = decode_registers(registers)
    if state.archived is None:
        return 0 if state.version is None else None
    return state.archived.created_at if state.is_archived_uncertain else None


def _fetch_all(fetch: Fetch, items: Sequence[DirtyObject]) -> list[FetchedItem]:
    until = time.monotonic() + FETCH_SECONDS

    def fetch_in_time(item: DirtyObject) -> FetchedItem | None:
        # The first one is always fetched, so that each round makes progress.
        return (item, _fetch_report(fetch, item)) if item is items[0] or time.monotonic() < until else None

    with ThreadPoolExecutor(max_workers=CONCURRENT_FETCHES) as pool:
        return [fetched for fetched in pool.map(fetch_in_time, items) if fetched is not None]


def _fetch_report(fetch: Fetch, item: DirtyObject) -> Report | None:
    try:
        result = fetch(item.workspace_id, item.object_type, item.object_id)
        report = report_from_fetch(item.workspace_id, item.object_type, item.object_id, result, item.dirty)
        return _with_archived_fact(fetch, item, result, report)
    except IntercomError as error:
        log.warning(
            "refetch failed",
            object_type=item.object_type,
            object_id=item.object_id,
            error=type(error).__name__,
            request_id=getattr(error, "request_id", None),
        )
        return None


def _with_archived_fact(fetch: Fetch, item: DirtyObject, result: FetchResult, report: Report) -> Report:
    if item.object_type != "contact" or item.archived_as_of is None:
        return report
    if not isinstance(result, FoundObject) or result.archived is not None:
        return report
    first, *others = report.observations
    updated_at = first.version.second if first.version is not None else 0
    if lagged_as_of(result.as_of_ms) // MS_PER_SECOND <= (item.archived_as_of or updated_at):
        # Searches may not contain the newest fact yet. The object stays dirty where it is uncertain, and is fetched
        # again; for a contact that was created just now, the next complete reconcile decides.
        return report
    search_result = fetch(item.workspace_id, SEARCHABLE_CONTACT, item.object_id)
    as_of_ms = lagged_as_of(search_result.as_of_ms)
    archived = archived_by_fetch(as_of_ms, archived=isinstance(search_result, MissingObject))
    return replace(report, observations=(replace(first, archived=archived), *others))


def _apply_or_split(engine: Engine, fetched: Sequence[FetchedItem], now: datetime) -> None:
    try:
        _apply(engine, [report for _, report in fetched if report is not None], [item for item, _ in fetched], now)
    except Exception as error:
        if is_database_unavailable(error):
            raise
        if len(fetched) > 1:
            for one in fetched:
                _apply_or_split(engine, [one], now)
            return
        item = fetched[0][0]
        log.warning(
            "the database rejects a refetched object",
            object_type=item.object_type,
            object_id=item.object_id,
            error=type(error).__name__,
        )
        _apply(engine, [], [item], now)


def _apply(engine: Engine, reports: Sequence[Report], items: Sequence[DirtyObject], now: datetime) -> None:
    with transaction(engine) as connection:
        apply(connection, reports, now)
        for item in items:
            connection.execute(_set_pause(item, now))


def _set_pause(item: DirtyObject, now: datetime) -> Update:
    """Return the statement that sets an object's next attempt, or clears it if the object is clean by now."""
    c = object_states.c
    pause = min(FIRST_PAUSE_SECONDS * 2**item.refetch_attempts, MAX_PAUSE_SECONDS)
    is_dirty = c.dirty > c.clean
    return (
        update(object_states)
        .where(c.workspace_id == item.workspace_id, c.object_type == item.object_type, c.object_id == item.object_id)
        .values(
            refetch_after=case((is_dirty, now + timedelta(seconds=pause)), else_=null()),
            refetch_attempts=case((is_dirty, item.refetch_attempts + 1), else_=0),
        )
    )
