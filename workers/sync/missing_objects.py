"""
Look up rows that no list contained: a complete reconcile fetches each by its id before anything is deleted.

The fetch decides: not found is deleted, merged is merged, and a contact that is found by its id and by no search is
archived.
"""

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
from workers.sync.run_parts import PageResult, Part, RunContext, TooManyMissingError

log = structlog.get_logger()

# Objects fetched before their results are written, and fetches at the same time.
BATCH_SIZE = 50
THREADS = 4

# More rows than this that are in no list, and more than this share of all rows, may also be a fault of Intercom's or
# ours (an index that is being rebuilt, a lost permission): a person has to confirm them first.
MAX_UNCONFIRMED = 50
MAX_UNCONFIRMED_SHARE = 0.1

# Archived contacts are in no list, so only a fetch shows that one was deleted. A run fetches this many of them, those
# first whose last fetch is longest ago: a small part of the calls that Intercom allows in a minute.
ARCHIVED_PER_RUN = 500


def look_up_missing(context: RunContext, part: Part) -> Iterator[PageResult]:
    """
    Fetch the rows of a type that no list contained.

    1. Count them; if there are implausibly many and no person has accepted that, raise
       TooManyMissingError.
    2. Fetch BATCH_SIZE of them at a time by id. What cannot be fetched now is marked for a refetch.
    3. Of contacts that were found, search for those of which the fetch does not contain whether they are archived.
       The ones that the search does not find are archived.
    4. Report the results, with the last id as the cursor.

    The part "confirm/archived" fetches ARCHIVED_PER_RUN archived contacts instead.

    Raises:
        TooManyMissingError: a person has to accept the number of missing rows.
    """
    kind = part.subject
    if kind != "archived" and not context.run.detail.get("accepted"):
        _check_plausible(context, kind)
    object_type = "contact" if kind == "archived" else kind
    batches = _archived_batches(context) if kind == "archived" else _missing_batches(context, kind, part.cursor or "")
    with ThreadPoolExecutor(THREADS, "confirm") as pool:
        for ids in batches:
            reports = list(pool.map(lambda object_id: _fetch_report(context, object_type, object_id), ids))
            if kind == "contact":
                reports = _archive_hidden(context, reports)
            yield PageResult(part.name, reports, cursor=ids[-1])
    yield PageResult(part.name, [], done=True)


def _check_plausible(context: RunContext, kind: str) -> None:
    table, run = ENTITIES[kind].table, context.run
    query = _missing_query(context, kind, func.count())
    if kind == "company":
        # Lists hide companies without contacts, so that their absence is no sign of a fault.
        query = query.where(_has_contacts(table))
    with context.reader.connect() as connection:
        missing: int = connection.execute(query).scalar_one()
        rows = select(func.count()).select_from(table).where(table.c.workspace_id == run.workspace_id)
        total: int = connection.execute(rows).scalar_one()
    if missing > max(MAX_UNCONFIRMED, total * MAX_UNCONFIRMED_SHARE):
        raise TooManyMissingError(kind, missing)


def _missing_batches(context: RunContext, kind: str, after: str) -> Iterator[list[str]]:
    table = ENTITIES[kind].table
    while True:
        query = _missing_query(context, kind, table.c.id).where(table.c.id > after)
        with context.reader.connect() as connection:
            ids = list(connection.execute(query.order_by(table.c.id).limit(BATCH_SIZE)).scalars())
        if not ids:
            return
        yield ids
        after = ids[-1]


def _archived_batches(context: RunContext) -> Iterator[list[str]]:
    """Select all ids at once, because a contact that was fetched moves to the end of the order."""
    c = ENTITIES["contact"].table.c
    verified = c["_verified_at"]
    query = select(c.id).where(c.workspace_id == context.run.workspace_id, c.archived)
    query = query.order_by(verified.is_not(None), verified, c.id).limit(ARCHIVED_PER_RUN)
    with context.reader.connect() as connection:
        ids = list(connection.execute(query).scalars())
    yield from (ids[start : start + BATCH_SIZE] for start in range(0, len(ids), BATCH_SIZE))


def _missing_query(context: RunContext, kind: str, column: Any) -> Select[Any]:
    run, table = context.run, ENTITIES[kind].table
    listed = select(sync_seen.c.object_id).where(sync_seen.c.run_id == run.id, sync_seen.c.kind == kind)
    query = select(column).select_from(table).where(table.c.workspace_id == run.workspace_id, table.c.id.not_in(listed))
    if kind in ("contact", "company"):
        query = query.where(~table.c.archived, _existed_at(table, run.started_at))
    return query


def _existed_at(table: Table, started_at: datetime) -> ColumnElement[bool]:
    """Exclude objects that were created while the lists were read, since the run may have missed them."""
    created_at = table.c.created_at
    return or_(created_at.is_(None), created_at < started_at - timedelta(seconds=INDEX_LAG_SECONDS))


def _has_contacts(table: Table) -> ColumnElement[bool]:
    links = LINK_TABLES["contact_companies"]
    linked = select(links.c.company_id).where(
        and_(links.c.workspace_id == table.c.workspace_id, links.c.company_id == table.c.id)
    )
    return linked.exists()


def _archive_hidden(context: RunContext, reports: list[Report]) -> list[Report]:
    """
    Add to reports of contacts that they are archived, where a search does not find the contact.

    A GET by id does not contain it. Absence from the lists is not enough, because pages shift while they are read; so
    a search asks for just these contacts.
    """
    existing = [report.observations[0] for report in reports if report.observations[0].confirmed_at_ms is not None]
    undecided = {observation.id for observation in existing if observation.archived is None}
    if not undecided:
        return reports
    query = {"operator": "AND", "value": [{"field": "id", "operator": "IN", "value": sorted(undecided)}]}
    active = {str(item.get("id")) for item in context.client.search_contacts(query, None).items}
    hidden = undecided - active
    return [_as_archived(report) if report.observations[0].id in hidden else report for report in reports]


def _as_archived(report: Report) -> Report:
    first, *others = report.observations
    fact = archived_by_fetch(first.confirmed_at_ms or 0, archived=True)
    return replace(report, observations=(replace(first, archived=fact), *others))


def _fetch_report(context: RunContext, object_type: str, object_id: str) -> Report:
    workspace_id = context.run.workspace_id
    try:
        result = context.fetch(workspace_id, object_type, object_id)
        return replace(report_from_fetch(workspace_id, object_type, object_id, result, 0), source=context.run.source)
    except NotAuthorizedError:
        raise
    except (TransientError, PermanentError, MalformedNotificationError) as error:
        log.warning("missing object not fetched; refetch follows", object_type=object_type, error=type(error).__name__)
        return Report(workspace_id, context.run.source, (Observation(object_type, object_id, needs_refetch=True),))
