"""Steps through what is in our tables and was in no list: each is asked for by its id before anything goes."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Any

import structlog
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Select, Table, and_, func, or_, select

from intercom_api.errors import MalformedNotificationError, NotAuthorizedError, PermanentError, TransientError
from models.rule.decide import archived_by_fetch
from models.rule.observations import Observation, Report
from models.tables.public_tables import ENTITIES, LINK_TABLES
from models.tables.sync_tables import sync_seen
from workers.facts.from_fetch import report_from_fetch
from workers.facts.from_listing import INDEX_LAG_SECONDS
from workers.sync.parts import PageResult, Part, RunContext, TooManyGoneError

log = structlog.get_logger()

# Objects asked for before their answers are written, and how many at the same time.
ROUND = 50
THREADS = 4

# More than this many rows that no list shows, and more than this share of all, may also be Intercom's or our mistake
# (an index that is being rebuilt, a permission that went): a person is asked first.
MAX_UNCONFIRMED = 50
SHARE = 0.1

# Archived contacts are in no list, so that nothing but a look at each one tells that it was deleted. So many are
# looked at in a run, those first that were not looked at for longest: a small part of a minute's calls.
ARCHIVED_LOOKS = 500


def confirm(context: RunContext, part: Part) -> Iterator[PageResult]:
    """
    Ask for each object that is missing from the lists: it may be deleted, merged, archived, or hidden.

    Raises:
        TooManyGoneError: they are too many to be believed; ask a person.
    """
    kind = part.subject
    if kind != "archived" and not context.run.detail.get("accepted"):
        _believe(context, kind)
    with ThreadPoolExecutor(THREADS, "confirm") as pool:
        for found in _archived(context) if kind == "archived" else _missing(context, kind, part.cursor or ""):
            told = list(pool.map(lambda object_id: _ask(context, _asking(kind), object_id), found))
            if kind == "contact":
                told = _archive_hidden(context, told)
            yield PageResult(part.part, told, cursor=found[-1])
    yield PageResult(part.part, [], done=True)


def _asking(kind: str) -> str:
    return "contact" if kind == "archived" else kind


def _believe(context: RunContext, kind: str) -> None:
    table, run = ENTITIES[kind].table, context.run
    query = _candidates(context, kind, func.count())
    if kind == "company":
        # Companies without contacts are hidden from the lists, so that their absence there says nothing.
        query = query.where(_has_contacts(table))
    with context.reader.connect() as connection:
        missing: int = connection.execute(query).scalar_one()
        rows = select(func.count()).select_from(table).where(table.c.workspace_id == run.workspace_id)
        total: int = connection.execute(rows).scalar_one()
    if missing > max(MAX_UNCONFIRMED, total * SHARE):
        raise TooManyGoneError(kind, missing)


def _missing(context: RunContext, kind: str, after: str) -> Iterator[list[str]]:
    table = ENTITIES[kind].table
    while True:
        query = _candidates(context, kind, table.c.id).where(table.c.id > after).order_by(table.c.id).limit(ROUND)
        with context.reader.connect() as connection:
            found = list(connection.execute(query).scalars())
        if not found:
            return
        yield found
        after = found[-1]


def _archived(context: RunContext) -> Iterator[list[str]]:
    """Choose all at once: whoever is looked at moves to the end of the queue, and none is to be met twice."""
    c = ENTITIES["contact"].table.c
    verified = c["_verified_at"]
    query = select(c.id).where(c.workspace_id == context.run.workspace_id, c.archived)
    query = query.order_by(verified.is_not(None), verified, c.id).limit(ARCHIVED_LOOKS)
    with context.reader.connect() as connection:
        chosen = list(connection.execute(query).scalars())
    yield from (chosen[at : at + ROUND] for at in range(0, len(chosen), ROUND))


def _candidates(context: RunContext, kind: str, column: Any) -> Select[Any]:
    run, table = context.run, ENTITIES[kind].table
    seen = select(sync_seen.c.object_id).where(sync_seen.c.run_id == run.id, sync_seen.c.kind == kind)
    query = select(column).select_from(table).where(table.c.workspace_id == run.workspace_id, table.c.id.not_in(seen))
    if kind in ("contact", "company"):
        query = query.where(~table.c.archived, _was_there(table, run.started_at))
    return query


def _was_there(table: Table, started_at: datetime) -> ColumnElement[bool]:
    """What was made while the walk went on may have been missed by it."""
    created_at = table.c.created_at
    return or_(created_at.is_(None), created_at < started_at - timedelta(seconds=INDEX_LAG_SECONDS))


def _has_contacts(table: Table) -> ColumnElement[bool]:
    links = LINK_TABLES["contact_companies"]
    linked = select(links.c.company_id).where(
        and_(links.c.workspace_id == table.c.workspace_id, links.c.company_id == table.c.id)
    )
    return linked.exists()


def _archive_hidden(context: RunContext, told: list[Report]) -> list[Report]:
    """
    Take for archived what is found by its id and by no search; a GET by id does not say it.

    A walk may have missed it while pages moved, so the search asks for just these.
    """
    found = [report.observations[0] for report in told if report.observations[0].confirmed_at_ms is not None]
    unsaid = {seen.id for seen in found if seen.archived is None}
    if not unsaid:
        return told
    query = {"operator": "AND", "value": [{"field": "id", "operator": "IN", "value": sorted(unsaid)}]}
    shown = {str(item.get("id")) for item in context.client.search_contacts(query, None).items}
    return [_as_archived(report) if report.observations[0].id in unsaid - shown else report for report in told]


def _as_archived(told: Report) -> Report:
    first, *others = told.observations
    fact = archived_by_fetch(first.confirmed_at_ms or 0, archived=True)
    return replace(told, observations=(replace(first, archived=fact), *others))


def _ask(context: RunContext, object_type: str, object_id: str) -> Report:
    workspace_id = context.run.workspace_id
    try:
        answer = context.fetch(workspace_id, object_type, object_id)
        return replace(report_from_fetch(workspace_id, object_type, object_id, answer, 0), source=context.run.source)
    except NotAuthorizedError:
        raise
    except (TransientError, PermanentError, MalformedNotificationError) as error:
        log.warning("a missing object could not be asked for", object_type=object_type, error=type(error).__name__)
        # The follow-ups ask again.
        return Report(workspace_id, context.run.source, (Observation(object_type, object_id, needs_refetch=True),))
