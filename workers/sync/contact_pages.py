"""Steps through contacts: windows over created_at, members of segments, and what changed since."""

from collections.abc import Iterator
from time import time
from typing import Any

from sqlalchemy import exists, select

from intercom_api.http.pages import Page
from intercom_api.wire.times import milliseconds
from models.rule.observations import Report
from models.tables.public_tables import LINK_TABLES, contacts
from models.tables.sync_tables import sync_parts, sync_seen
from workers.facts import from_listing
from workers.sync import windows
from workers.sync.parts import PageResult, Part, RunContext, window_part
from workers.sync.windows import DayWindow

# How often a list is walked again because it showed fewer than it counted, or new things: it moves while it is read.
MOST_PASSES = 3

# Links that are taken away in one transaction.
_LEAVERS = 500

_OLDEST_FIRST = {"field": "created_at", "order": "ascending"}
_NEWEST_CREATED_FIRST = {"field": "created_at", "order": "descending"}
_NEWEST_FIRST = {"field": "updated_at", "order": "descending"}


def plan(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Ask how many contacts there are and how old the first one is, and cut time into windows."""
    tomorrow = windows.day_of(int(time())) + 1
    page = context.client.search_contacts(windows.search_query(DayWindow(None, tomorrow + 1)), None, 1, _OLDEST_FIRST)
    oldest = _day(page.items[0].get("created_at"), tomorrow) if page.items else tomorrow
    cut = windows.plan(oldest, tomorrow, page.total or 0)
    yield PageResult(part.part, [], done=True, expected=page.total, more=tuple(window_part(window) for window in cut))


def window(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read the contacts that were created within a window."""
    read = _Reading(context, part, windows.parse(part.subject))
    yield from read.steps()


def members(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read the contacts of a segment, all or those of a window."""
    segment_id, _, text = part.subject.partition("/")
    read = _Reading(context, part, windows.parse(text or ".."), segment_id)
    yield from read.steps()


def leavers(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Tell who is in a segment by our table, and on no page of it."""
    run, last, moment = context.run, part.cursor or "", None
    while found := _left(context, part.subject, last):
        last = found[-1]
        if moment is None:
            moment = _intercoms(run.started_at.timestamp(), context.client.segments())
        gone = [{"id": contact_id} for contact_id in found]
        read = from_listing.membership_reader(part.subject, present=False)
        yield PageResult(
            part.part, from_listing.reports_from_page(run.workspace_id, run.source, gone, moment, read), cursor=last
        )
    yield PageResult(part.part, [], done=True)


def _left(context: RunContext, segment_id: str, after: str) -> list[str]:
    run, table, prefix = context.run, LINK_TABLES["contact_segments"], f"members/{segment_id}"
    p = sync_parts.c
    refused = select(p.part).where(p.run_id == run.id, p.part.startswith(f"{prefix}/"), p.state == "refused")
    shown = select(sync_seen.c.object_id).where(sync_seen.c.run_id == run.id, sync_seen.c.kind == prefix)
    c = contacts.table.c
    archived = select(c.id).where(c.workspace_id == run.workspace_id, c.archived)
    query = select(table.c.contact_id).where(
        table.c.workspace_id == run.workspace_id,
        table.c.segment_id == segment_id,
        table.c.contact_id > after,
        table.c.contact_id.not_in(shown),
        # What could not be read says nothing about who left, nor does the absence of those that searches hide.
        ~exists(refused),
        table.c.contact_id.not_in(archived),
    )
    with context.reader.connect() as connection:
        return list(connection.execute(query.order_by(table.c.contact_id).limit(_LEAVERS)).scalars())


def late(context: RunContext, part: Part) -> Iterator[PageResult]:
    """
    Read what changed since, newest first, until a pass brings nothing new.

    Newest first, because a contact that changes meanwhile moves to the front: then others are met twice, where oldest
    first they would be missed.
    """
    run, known, seen = context.run, dict[str, object](), 0
    for _ in range(MOST_PASSES):
        news = False
        for page in _changed(context):
            since = min(run.since, _intercoms(run.since, page) // 1000)
            fresh = [item for item in page.items if _second(item.get("updated_at"), since) >= since]
            news |= any(known.get(str(item.get("id"))) != item.get("updated_at") for item in fresh)
            known |= {str(item.get("id")): item.get("updated_at") for item in fresh}
            seen = 0 if run.complete else len(known)
            told = from_listing.reports_from_page(
                run.workspace_id, run.source, fresh, page.as_of_ms, from_listing.read_contact
            )
            yield PageResult(part.part, told, seen=seen, expected=seen, shown=_shown(context, told))
            if len(fresh) < len(page.items):
                break
        if not news:
            break
    yield PageResult(part.part, [], done=True, seen=seen, expected=seen)


def _intercoms(second: float, page: Page) -> int:
    """Translate a time of our clock to Intercom's, in milliseconds, by a page that came just now: ours may be wrong."""
    return int((second - time()) * 1000) + page.as_of_ms


def _changed(context: RunContext) -> Iterator[Page]:
    query, cursor = windows.since(context.run.since), None
    while True:
        page = context.client.search_contacts(query, cursor, sort=_NEWEST_FIRST)
        yield page
        if (cursor := page.next) is None:
            return


class _Reading:
    """The reading of one window, of all contacts or of a segment's."""

    def __init__(self, context: RunContext, part: Part, window: DayWindow, segment_id: str | None = None) -> None:
        self.context, self.part, self.window, self.segment_id = context, part, window, segment_id
        also = () if segment_id is None else ({"field": "segment_id", "operator": "=", "value": segment_id},)
        self.query = windows.search_query(window, also=also)
        self.read = from_listing.read_contact if segment_id is None else from_listing.membership_reader(segment_id)
        # So that what lies beyond the window's bound comes last, and need not be read.
        self.order = _OLDEST_FIRST if window.end is not None or window.first is None else _NEWEST_CREATED_FIRST

    def steps(self) -> Iterator[PageResult]:
        """Give one step a page; a window that turns out too large is cut into others."""
        at = self.part.cursor or _beginning(1)
        while True:
            page = self.context.client.search_contacts(self.query, at["after"], sort=self.order)
            smaller = self._smaller(page) if at == _beginning(1) else []
            if smaller:
                more = tuple(window_part(each, self.segment_id) for each in smaller)
                yield PageResult(self.part.part, [], done=True, more=more)
                return
            step = self._step(page, at)
            at = step.cursor
            yield step
            if step.done:
                return

    def _step(self, page: Page, at: dict[str, Any]) -> PageResult:
        run = self.context.run
        ours = [item for item in page.items if windows.contains(self.window, item.get("created_at"))]
        told = from_listing.reports_from_page(run.workspace_id, run.source, ours, page.as_of_ms, self.read)
        met, kept, total = at["met"] + len(page.items), at["kept"] + len(ours), max(at["total"], page.total or 0)
        beyond = bool(page.items) and windows.is_past_end(self.window, page.items[-1].get("created_at"))
        ended = page.next is None or beyond
        # If something went while it was read, what was next slipped onto a page that was read already.
        whole = (beyond or met >= total) and (page.total or 0) >= total
        after = at | {"after": page.next, "met": met, "kept": kept, "total": total}
        if ended and not whole:
            after = _beginning(at["passes"] + 1)
        done = ended and (whole or at["passes"] >= MOST_PASSES)
        seen = kept if self.segment_id is None else 0
        return PageResult(self.part.part, told, cursor=after, done=done, seen=seen, shown=self._shown(told))

    def _shown(self, told: list[Report]) -> tuple[str, tuple[str, ...]] | None:
        if self.segment_id is None:
            return _shown(self.context, told)
        return f"members/{self.segment_id}", from_listing.object_ids(told)

    def _smaller(self, page: Page) -> list[DayWindow]:
        """Return the windows to read instead; none if this one is small enough, or cannot be cut."""
        total = page.total or 0
        if total <= windows.SPLIT_THRESHOLD or not windows.can_split(self.window):
            return []
        tomorrow = windows.day_of(int(time())) + 1
        oldest = tomorrow
        if page.items and self.order is _OLDEST_FIRST:
            oldest = _day(page.items[0].get("created_at"), tomorrow)
        first = oldest if self.window.first is None else self.window.first
        cut = windows.split(self.window, first, tomorrow, -(-total // windows.CONTACTS_PER_WINDOW))
        return cut if len(cut) > 1 else []


def _beginning(passes: int) -> dict[str, Any]:
    return {"after": None, "met": 0, "kept": 0, "passes": passes, "total": 0}


def _shown(context: RunContext, told: list[Report]) -> tuple[str, tuple[str, ...]] | None:
    return ("contact", from_listing.object_ids(told)) if context.run.confirms else None


def _second(value: object, otherwise: int) -> int:
    try:
        told = milliseconds(value)
    except ValueError:
        return otherwise
    return otherwise if told is None else told // 1000


def _day(value: object, otherwise: int) -> int:
    # A time far from any real one, of which there are some, must not stretch the plan: its contacts are found in the
    # windows without bounds.
    return min(
        max(windows.day_of(_second(value, otherwise * windows.DAY_SECONDS)), windows.EPOCH_OF_INTERCOM), otherwise
    )
