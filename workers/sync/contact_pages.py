"""Read contacts: in windows over `created_at`, the members of segments, and those that changed since a time."""

from collections.abc import Iterator
from time import time
from typing import Any

from sqlalchemy import exists, select

from intercom_api.http.pages import Page
from intercom_api.wire.times import milliseconds
from models.rule.observations import Report
from models.tables.public_tables import LINK_TABLES, contacts
from models.tables.sync_tables import sync_parts, sync_seen
from settings.units import MS_PER_SECOND
from workers.facts import from_listing
from workers.sync import windows
from workers.sync.run_parts import PageResult, Part, RunContext, window_part
from workers.sync.windows import DayWindow

# Passes over a list that contained fewer entries than it counts, or new ones: it changes while it is read.
MAX_PASSES = 3

# Links removed in one transaction.
_LEAVERS_PER_TRANSACTION = 500

_OLDEST_FIRST = {"field": "created_at", "order": "ascending"}
_NEWEST_FIRST = {"field": "created_at", "order": "descending"}
_LAST_CHANGED_FIRST = {"field": "updated_at", "order": "descending"}


def plan_windows(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Divide the contacts into windows, by their number and the age of the oldest; the windows become new parts."""
    tomorrow = windows.day_of(int(time())) + 1
    page = context.client.search_contacts(windows.search_query(DayWindow(None, tomorrow + 1)), None, 1, _OLDEST_FIRST)
    oldest = _parse_day(page.items[0].get("created_at"), tomorrow) if page.items else tomorrow
    plan = windows.plan_windows(oldest, tomorrow, page.total or 0)
    parts = tuple(window_part(window) for window in plan)
    yield PageResult(part.name, [], done=True, expected=page.total, new_parts=parts)


def read_window(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read the contacts that were created within a window."""
    yield from _WindowReader(context, part, windows.parse_window(part.subject)).results()


def read_segment_members(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read the contacts of a segment, all of them or those of a window."""
    segment_id, _, text = part.subject.partition("/")
    yield from _WindowReader(context, part, windows.parse_window(text or ".."), segment_id).results()


def find_segment_leavers(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Report contacts as not in a segment that are in it according to our table, and on no page that was read."""
    run, last, moment = context.run, part.cursor or "", None
    while contact_ids := _unlisted_members(context, part.subject, last):
        last = contact_ids[-1]
        if moment is None:
            moment = _intercom_time_ms(run.started_at.timestamp(), context.client.segments())
        items = [{"id": contact_id} for contact_id in contact_ids]
        read = from_listing.membership_reader(part.subject, present=False)
        reports = from_listing.reports_from_page(run.workspace_id, run.source, items, moment, read)
        yield PageResult(part.name, reports, cursor=last)
    yield PageResult(part.name, [], done=True)


def _unlisted_members(context: RunContext, segment_id: str, after: str) -> list[str]:
    run, table, prefix = context.run, LINK_TABLES["contact_segments"], f"members/{segment_id}"
    p = sync_parts.c
    refused = select(p.part).where(p.run_id == run.id, p.part.startswith(f"{prefix}/"), p.state == "refused")
    listed = select(sync_seen.c.object_id).where(sync_seen.c.run_id == run.id, sync_seen.c.kind == prefix)
    c = contacts.table.c
    archived = select(c.id).where(c.workspace_id == run.workspace_id, c.archived)
    query = select(table.c.contact_id).where(
        table.c.workspace_id == run.workspace_id,
        table.c.segment_id == segment_id,
        table.c.contact_id > after,
        table.c.contact_id.not_in(listed),
        # A window that could not be read does not show who left, nor do searches, which hide archived contacts.
        ~exists(refused),
        table.c.contact_id.not_in(archived),
    )
    with context.reader.connect() as connection:
        query = query.order_by(table.c.contact_id).limit(_LEAVERS_PER_TRANSACTION)
        return list(connection.execute(query).scalars())


def read_late_changes(context: RunContext, part: Part) -> Iterator[PageResult]:
    """
    Read the contacts that changed since a time, newest first, until a pass finds nothing new.

    Newest first, because a contact that changes meanwhile moves to the front: other contacts are then read twice; with
    the oldest first they would be missed.
    """
    run, updated_at_by_id, seen = context.run, dict[str, object](), 0
    for _ in range(MAX_PASSES):
        has_news = False
        for page in _changed_pages(context):
            since = min(run.changes_since, _intercom_time_ms(run.changes_since, page) // MS_PER_SECOND)
            recent = [item for item in page.items if _parse_second(item.get("updated_at"), since) >= since]
            has_news |= any(updated_at_by_id.get(str(item.get("id"))) != item.get("updated_at") for item in recent)
            updated_at_by_id |= {str(item.get("id")): item.get("updated_at") for item in recent}
            seen = 0 if run.is_complete else len(updated_at_by_id)
            reports = from_listing.reports_from_page(
                run.workspace_id, run.source, recent, page.as_of_ms, from_listing.read_contact
            )
            yield PageResult(part.name, reports, seen=seen, expected=seen, listed=_listed_contacts(context, reports))
            if len(recent) < len(page.items):
                break
        if not has_news:
            break
    yield PageResult(part.name, [], done=True, seen=seen, expected=seen)


def _intercom_time_ms(second: float, page: Page) -> int:
    """
    Convert a time of our clock to Intercom's clock, in milliseconds.

    Args:
        second: unix time of our clock, which may be wrong.
        page: a page that arrived just now, which shows the difference between the clocks.
    """
    return int((second - time()) * MS_PER_SECOND) + page.as_of_ms


def _changed_pages(context: RunContext) -> Iterator[Page]:
    query, cursor = windows.changed_since_query(context.run.changes_since), None
    while True:
        page = context.client.search_contacts(query, cursor, sort=_LAST_CHANGED_FIRST)
        yield page
        if (cursor := page.next) is None:
            return


class _WindowReader:
    """
    Reads one window, of all contacts or of the contacts in a segment.

    The part's cursor is an object: `after` (Intercom's cursor), `met` (entries on the pages of this pass), `kept`
    (those that belong to the window), `passes` (number of this pass) and `total` (the greatest count that a page gave).
    """

    def __init__(self, context: RunContext, part: Part, window: DayWindow, segment_id: str | None = None) -> None:
        self.context, self.part, self.window, self.segment_id = context, part, window, segment_id
        terms = () if segment_id is None else ({"field": "segment_id", "operator": "=", "value": segment_id},)
        self.query = windows.search_query(window, terms=terms)
        self.read = from_listing.read_contact if segment_id is None else from_listing.membership_reader(segment_id)
        # What lies outside the window's bound then comes last, and need not be read.
        self.order = _OLDEST_FIRST if window.end is not None or window.first is None else _NEWEST_FIRST

    def results(self) -> Iterator[PageResult]:
        """
        Read the window.

        1. Read the page after the cursor.
        2. If it is the first page and counts more than SPLIT_THRESHOLD contacts, add smaller windows as new parts
           and finish.
        3. Otherwise yield the entries that belong to the window, with the new cursor.
        4. At the end of the list, or past the window's end, compare the number of entries with the count. If entries
           are missing, start another pass, at most MAX_PASSES; otherwise finish.
        """
        cursor = self.part.cursor or _start_of_pass(1)
        while True:
            page = self.context.client.search_contacts(self.query, cursor["after"], sort=self.order)
            smaller = self._split(page) if cursor == _start_of_pass(1) else []
            if smaller:
                parts = tuple(window_part(each, self.segment_id) for each in smaller)
                yield PageResult(self.part.name, [], done=True, new_parts=parts)
                return
            result = self._result(page, cursor)
            cursor = result.cursor
            yield result
            if result.done:
                return

    def _result(self, page: Page, cursor: dict[str, Any]) -> PageResult:
        run = self.context.run
        items = [item for item in page.items if windows.contains(self.window, item.get("created_at"))]
        reports = from_listing.reports_from_page(run.workspace_id, run.source, items, page.as_of_ms, self.read)
        met, kept = cursor["met"] + len(page.items), cursor["kept"] + len(items)
        total = max(cursor["total"], page.total or 0)
        past_end = bool(page.items) and windows.is_past_end(self.window, page.items[-1].get("created_at"))
        ended = page.next is None or past_end
        # An entry that left the list while it was read moves the next ones up, onto pages that were read already.
        whole = (past_end or met >= total) and (page.total or 0) >= total
        after = cursor | {"after": page.next, "met": met, "kept": kept, "total": total}
        if ended and not whole:
            after = _start_of_pass(cursor["passes"] + 1)
        done = ended and (whole or cursor["passes"] >= MAX_PASSES)
        seen = kept if self.segment_id is None else 0
        return PageResult(self.part.name, reports, cursor=after, done=done, seen=seen, listed=self._listed(reports))

    def _listed(self, reports: list[Report]) -> tuple[str, tuple[str, ...]] | None:
        if self.segment_id is None:
            return _listed_contacts(self.context, reports)
        return f"members/{self.segment_id}", from_listing.object_ids(reports)

    def _split(self, page: Page) -> list[DayWindow]:
        """Return the windows to read instead of this one; none if it is small enough or cannot be split."""
        total = page.total or 0
        if total <= windows.SPLIT_THRESHOLD or not windows.can_split(self.window):
            return []
        tomorrow = windows.day_of(int(time())) + 1
        oldest = tomorrow
        if page.items and self.order is _OLDEST_FIRST:
            oldest = _parse_day(page.items[0].get("created_at"), tomorrow)
        first = oldest if self.window.first is None else self.window.first
        smaller = windows.split_window(self.window, first, tomorrow, -(-total // windows.CONTACTS_PER_WINDOW))
        return smaller if len(smaller) > 1 else []


def _start_of_pass(number: int) -> dict[str, Any]:
    return {"after": None, "met": 0, "kept": 0, "passes": number, "total": 0}


def _listed_contacts(context: RunContext, reports: list[Report]) -> tuple[str, tuple[str, ...]] | None:
    return ("contact", from_listing.object_ids(reports)) if context.run.confirms_missing else None


def _parse_second(value: object, default: int) -> int:
    try:
        time_ms = milliseconds(value)
    except ValueError:
        return default
    return default if time_ms is None else time_ms // MS_PER_SECOND


def _parse_day(value: object, default: int) -> int:
    # Some contacts have a time far from any real one. It must not stretch the plan; the windows without bounds contain
    # these contacts.
    day = windows.day_of(_parse_second(value, default * windows.DAY_SECONDS))
    return min(max(day, windows.FIRST_PLAUSIBLE_DAY), default)
