"""
Read Intercom's side of a comparison: its lists page by page, and objects by id.

The list of contacts is read in windows in parallel, because one cursor would take hours for a million of them.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from time import time
from typing import Any, NamedTuple

import msgspec
from msgspec.structs import replace

from intercom_api.errors import IntercomError, NotAuthorizedError, ScrollRequiredError
from intercom_api.http.client import IntercomClient
from intercom_api.http.pages import Page
from models.rule.merge_content import VOLATILE
from models.rule.observations import ArchivedFact, Observation
from settings.units import MS_PER_SECOND
from workers.facts.from_fetch import report_from_fetch
from workers.facts.from_listing import INDEX_LAG_SECONDS
from workers.sync import windows
from workers.sync.windows import DayWindow
from workers.verify.compare import DRIFTING_LISTS, Comparison, MirrorObject, compare
from workers.verify.context import THREADS, VerifyContext
from workers.verify.mirror_side import read_objects

# Contacts below which one cursor is as fast as windows.
_MIN_FOR_WINDOWS = 1_000

_OLDEST_FIRST = {"field": "created_at", "order": "ascending"}

# Objects fetched before the tables are read once for all of them: few enough that both sides are of about the same
# moment, and that one search finds those among them that are archived.
_BATCH_SIZE = 40

_encode = msgspec.json.Encoder(order="deterministic").encode


def list_pages(client: IntercomClient, object_type: str, *, first: bool = True) -> Iterator[Page]:
    """
    Read all objects of a type that Intercom lists; some may come twice.

    Args:
        client: of the workspace.
        object_type: contact, company, tag or segment.
        first: whether this is the first pass, which reads contacts in windows; an entry may be missed while the list
            changes. Further passes use one cursor.

    Raises:
        TransientError: a page could not be read.
    """
    if object_type == "contact":
        return _contacts_in_windows(client) if first else _contacts_by_cursor(client)
    if object_type == "company":
        return _companies(client)
    return iter([client.tags() if object_type == "tag" else client.segments()])


def _contacts_by_cursor(client: IntercomClient) -> Iterator[Page]:
    cursor = None
    while True:
        page = client.contacts_page(cursor)
        yield page
        if (cursor := page.next) is None:
            return


def _companies(client: IntercomClient) -> Iterator[Page]:
    number: str | None = "1"
    # The scroll repeats the companies that were read by page, because it has no other start.
    with suppress(ScrollRequiredError):
        while number is not None:
            page = client.companies_page(int(number))
            yield page
            number = page.next
        return
    yield from client.scroll_companies()


def _contacts_in_windows(client: IntercomClient) -> Iterator[Page]:
    total = client.contacts_page(None, 1).total or 0
    if total < _MIN_FOR_WINDOWS:
        yield from _contacts_by_cursor(client)
        return
    end = windows.day_of(int(time())) + 2
    oldest = client.search_contacts(windows.search_query(DayWindow(None, end)), None, 1, _OLDEST_FIRST).items
    created_at = oldest[0].get("created_at") if oldest else None
    day = windows.day_of(created_at) if isinstance(created_at, int) else end
    # A time far from any real one must not stretch the plan; the window without a start contains that contact.
    first = min(max(day, windows.FIRST_PLAUSIBLE_DAY), end)
    plan = windows.plan_windows(first, end, total)
    yield from (replace(page, total=total) for page in _read_windows(client, plan))


def _read_windows(client: IntercomClient, waiting: list[DayWindow]) -> Iterator[Page]:
    """Read windows in parallel, with at most one page of each in memory."""

    def read(window: DayWindow, cursor: str | None) -> Page:
        return client.search_contacts(windows.search_query(window), cursor, sort=_OLDEST_FIRST)

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        pending: dict[Future[Page], DayWindow] = {}
        while waiting or pending:
            while waiting and len(pending) < THREADS:
                window = waiting.pop()
                pending[pool.submit(read, window, None)] = window
            for future in wait(pending, return_when=FIRST_COMPLETED).done:
                window, page = pending.pop(future), future.result()
                past_end = bool(page.items) and window.end is not None
                past_end = past_end and windows.is_past_end(window, page.items[-1].get("created_at"))
                if page.next is not None and not past_end:
                    pending[pool.submit(read, window, page.next)] = window
                yield page


class ObjectCheck(NamedTuple):
    """
    The result of fetching an object and comparing it.

    Attributes:
        comparison: None if Intercom did not respond.
        dirty: whether the object waits for a refetch.
        fingerprint: bytes that change when Intercom's side changes (except for what it changes without a notification)
            or when the version in the tables does.
    """

    comparison: Comparison | None
    dirty: bool
    fingerprint: bytes


def check_objects(
    context: VerifyContext, workspace_id: str, object_type: str, ids: Sequence[str], listed: Container[object] = ()
) -> Iterator[tuple[str, ObjectCheck]]:
    """
    Fetch objects by id and compare them with the tables, in batches.

    Args:
        context: both sides.
        workspace_id: the workspace.
        object_type: contact, company, tag or segment.
        ids: of the objects.
        listed: ids that a list has just contained, so that these objects are not archived.

    Raises:
        NotAuthorizedError: the token was refused.
        TransientError: Intercom does not respond to searches.
    """

    def fetch(object_id: str) -> Observation | None:
        try:
            result = context.fetch(workspace_id, object_type, object_id)
            return report_from_fetch(workspace_id, object_type, object_id, result, 0).observations[0]
        except NotAuthorizedError:
            raise
        except IntercomError:
            return None

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        for start in range(0, len(ids), _BATCH_SIZE):
            batch = ids[start : start + _BATCH_SIZE]
            observations = dict(zip(batch, pool.map(fetch, batch), strict=True))
            mirror = read_objects(context.reader, workspace_id, object_type, batch)
            observations |= _with_archived(context.client, observations, mirror, listed)
            yield from ((each, _check(observations[each], mirror[each])) for each in batch)


def _check(observation: Observation | None, mirror: MirrorObject) -> ObjectCheck:
    if observation is None:
        return ObjectCheck(None, mirror.dirty, b"")
    comparison = compare(observation, mirror)
    content = {name: value for name, value in (observation.content or {}).items() if name not in VOLATILE}
    lists = {kind: sorted(fact.ids) for kind, fact in observation.lists.items() if kind not in DRIFTING_LISTS}
    merged_into = None if observation.merged is None else observation.merged.into_id
    exists = observation.deleted_at_ms is None
    state: list[Any] = [comparison.kind, comparison.fields, exists, merged_into, content, lists]
    return ObjectCheck(comparison, mirror.dirty, _encode([*state, mirror.registers.version]))


def _with_archived(
    client: IntercomClient,
    observations: Mapping[str, Observation | None],
    mirror: Mapping[str, MirrorObject],
    listed: Container[object],
) -> dict[str, Observation]:
    """
    Return the observations of contacts to which it could be added whether the contact is archived.

    A GET by id does not contain it, but lists and searches hide archived contacts. Nothing is added for a contact that
    is too new for a search.
    """
    undecided = {
        object_id: observation
        for object_id, observation in observations.items()
        if observation is not None
        and observation.type == "contact"
        and observation.confirmed_at_ms is not None
        and observation.archived is None
    }
    # A contact that a list has contained a while ago may have been archived since; then the tables know it.
    archived = {each: False for each in undecided if each in listed and not (mirror[each].row or {}).get("archived")}
    searchable = [
        each
        for each, observation in undecided.items()
        if each not in archived and not _is_too_new(observation, mirror[each])
    ]
    active = _search_ids(client, searchable) if searchable else set()
    archived |= {each: each not in active for each in searchable}
    return {each: replace(undecided[each], archived=ArchivedFact(0, "", value)) for each, value in archived.items()}


def _is_too_new(observation: Observation, mirror: MirrorObject) -> bool:
    created_at = (observation.content or {}).get("created_at")
    moments = [created_at if isinstance(created_at, int) else 0]
    if mirror.registers.archived is not None:
        moments.append(mirror.registers.archived.created_at)
    assert observation.confirmed_at_ms is not None  # noqa: S101 -- the caller checked
    return max(moments) > observation.confirmed_at_ms // MS_PER_SECOND - INDEX_LAG_SECONDS


def _search_ids(client: IntercomClient, ids: Sequence[str]) -> set[str]:
    page = client.search_contacts({"field": "id", "operator": "IN", "value": list(ids)}, None)
    return {str(item.get("id")) for item in page.items}
