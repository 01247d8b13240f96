"""Follow-ups: objects that are in doubt are fetched again, once, however many notifications doubted them."""

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
from models.db.engine import transaction
from models.db.errors import is_database_unavailable
from models.rule.decide import archived_by_fetch
from models.rule.observations import Report
from models.rule.state import decode_registers
from models.tables.internal_tables import object_states
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

# Objects in one round: enough to write in bulk.
ROUND = 100
# Seconds that a round may ask for: well below what a task may take, or slow answers would never be applied. Objects
# that it did not come to are asked for in the next round.
ASKING_SECONDS = 5.0

# Objects asked for at the same time: at 200 ms a call and three calls an object, a hundred of them take four seconds.
AT_ONCE = 16

# A second, in milliseconds.
_SECOND = 1000

# Seconds before an object that stayed in doubt is asked for again; doubled each time, up to the longest.
FIRST_PAUSE = 2
LONGEST_PAUSE = 3600


class DirtyObject(NamedTuple):
    """
    An object to be refetched.

    `dirty`: the counter that the refetch starts from. `unsure_at`: unix second of the last word on the archive, where
    that is in doubt; 0 for a contact that was only named, of which there is no word.
    """

    workspace_id: str
    object_type: str
    object_id: str
    dirty: int
    refetch_attempts: int
    unsure_at: int | None


# An object, and what is now known of it, None if there was no answer that can be read.
Asked = tuple[DirtyObject, Report | None]


def refetch_dirty(
    engine: Engine, fetch: Fetch, now: datetime, limit: int = ROUND, workspaces: Collection[str] | None = None
) -> int:
    """
    Fetch and apply one round of dirty objects; run it again until it returns 0.

    An object whose fetch fails, whose answer the database refuses, or that is still in doubt afterwards, waits before
    it is asked for again.

    Args:
        engine: for writing.
        fetch: asks Intercom; it is called from several threads at once.
        now: UTC.
        limit: objects in the round.
        workspaces: the only ones to be asked for; None for all. Objects of others wait, at no cost.

    Returns:
        How many objects were asked for.
    """
    asked = _ask_all(fetch, _due(engine, now, limit, workspaces))
    _apply_or_split(engine, asked, now)
    if asked:
        log.info("refetched", asked=len(asked), answered=sum(answer is not None for _, answer in asked))
    return len(asked)


def _ask_all(fetch: Fetch, items: Sequence[DirtyObject]) -> list[Asked]:
    """Ask for as many objects as the time allows, some at once: nearly all the time is spent waiting for Intercom."""
    until = time.monotonic() + ASKING_SECONDS

    def ask(item: DirtyObject) -> Asked | None:
        return (item, _ask(fetch, item)) if item is items[0] or time.monotonic() < until else None

    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        return [asked for asked in pool.map(ask, items) if asked is not None]


def _apply_or_split(engine: Engine, asked: Sequence[Asked], now: datetime) -> None:
    """Apply answers together; where that fails, one by one, so that one that cannot be stored holds nobody up."""
    try:
        _apply(engine, [answer for _, answer in asked if answer is not None], [item for item, _ in asked], now)
    except Exception as error:
        if is_database_unavailable(error):
            raise
        if len(asked) > 1:
            for one in asked:
                _apply_or_split(engine, [one], now)
            return
        item = asked[0][0]
        log.warning(
            "refetched object refused",
            object_type=item.object_type,
            object_id=item.object_id,
            error=type(error).__name__,
        )
        _apply(engine, [], [item], now)


def _apply(engine: Engine, reports: Sequence[Report], items: Sequence[DirtyObject], now: datetime) -> None:
    with transaction(engine) as connection:
        apply(connection, reports, now)
        for item in items:
            connection.execute(_next_try(item, now))


def _due(engine: Engine, now: datetime, limit: int, workspaces: Collection[str] | None) -> list[DirtyObject]:
    c = object_states.c
    query = (
        select(c.workspace_id, c.object_type, c.object_id, c.dirty, c.refetch_attempts, c.registers)
        .where(c.dirty > c.clean, or_(c.refetch_after.is_(None), c.refetch_after <= now))
        .limit(limit)
    )
    if workspaces is not None:
        query = query.where(c.workspace_id.in_(workspaces))
    with transaction(engine) as connection:
        return [DirtyObject(*row[:5], _unsure_at(row.registers)) for row in connection.execute(query)]


def _unsure_at(registers: str) -> int | None:
    known = decode_registers(registers)
    if known.archived is None:
        return 0 if known.version is None else None
    return known.archived.created_at if known.is_archived_uncertain else None


def _ask(fetch: Fetch, item: DirtyObject) -> Report | None:
    try:
        answer = fetch(item.workspace_id, item.object_type, item.object_id)
        told = report_from_fetch(item.workspace_id, item.object_type, item.object_id, answer, item.dirty)
        return _with_archive(fetch, item, answer, told)
    except IntercomError as error:
        log.warning(
            "refetch failed",
            object_type=item.object_type,
            object_id=item.object_id,
            error=type(error).__name__,
            request_id=getattr(error, "request_id", None),
        )
        return None


def _with_archive(fetch: Fetch, item: DirtyObject, answer: FetchResult, told: Report) -> Report:
    """Say whether a contact is archived, where that is in doubt and its GET does not tell: searches hide it if so."""
    if item.object_type != "contact" or item.unsure_at is None:
        return told
    if not isinstance(answer, FoundObject) or answer.archived is not None:
        return told
    first, *others = told.observations
    changed_at = first.version.second if first.version is not None else 0
    if lagged_as_of(answer.as_of_ms) // _SECOND <= (item.unsure_at or changed_at):
        # Searches may not have come to it yet. A doubt stays, and is asked about again; of a contact that was made just
        # now the next complete reconcile tells it.
        return told
    listed = fetch(item.workspace_id, SEARCHABLE_CONTACT, item.object_id)
    fact = archived_by_fetch(lagged_as_of(listed.as_of_ms), archived=isinstance(listed, MissingObject))
    return replace(told, observations=(replace(first, archived=fact), *others))


def _next_try(item: DirtyObject, now: datetime) -> Update:
    """Set the pause before the next try; an object that is clean by now starts from the beginning."""
    c = object_states.c
    pause = min(FIRST_PAUSE * 2**item.refetch_attempts, LONGEST_PAUSE)
    attempts = item.refetch_attempts + 1
    key = (c.workspace_id, c.object_type, c.object_id)
    of_item = [column == value for column, value in zip(key, item, strict=False)]
    still = c.dirty > c.clean
    return (
        update(object_states)
        .where(*of_item)
        .values(
            refetch_after=case((still, now + timedelta(seconds=pause)), else_=null()),
            refetch_attempts=case((still, attempts), else_=0),
        )
    )
