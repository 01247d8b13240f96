"""Steps through companies: by scroll, which one caller at a time may use, or by page, which ends at 10,000."""

from collections.abc import Iterator

import structlog
from msgspec.structs import replace

from intercom_api.errors import ScrollInUseError, ScrollRequiredError
from intercom_api.http.pages import Page
from models.rule.observations import Report
from workers.facts import from_listing
from workers.sync.parts import PageResult, Part, RunContext

log = structlog.get_logger()

# How often the pages are gone through: they are sorted by last_request_at, which moves, so that companies slip from
# one page to another. A pass that brings nothing new ends it.
MOST_PASSES = 4

# Seconds until the scroll is tried again: a minute after its last use it is free.
_RETRY = 60.0


def companies(context: RunContext, part: Part) -> Iterator[PageResult]:
    """
    Read all companies that have contacts; the follow-ups fetch the others that contacts name.

    Neither way can be resumed after a crash (the scroll loses its place, pages shift), so there is no cursor.

    Raises:
        ScrollInUseError: there are more companies than pages reach, and somebody else scrolls.
    """
    total = context.client.companies_page(1, 1).total
    seen = 0
    try:
        for page in context.client.scroll_companies():
            # What was read before a scroll broke off comes again.
            seen = len(page.items) if page.restarted else seen + len(page.items)
            yield _step(context, part, page, seen, total)
    except ScrollInUseError:
        log.info("somebody else scrolls; companies are read by page", workspace=context.run.workspace_id)
        for step in _by_page(context, part, total):
            seen = step.seen
            yield step
    yield PageResult(part.part, [], done=True, seen=seen, expected=seen)


def _by_page(context: RunContext, part: Part, total: int | None) -> Iterator[PageResult]:
    known: set[str] = set()
    for _ in range(MOST_PASSES):
        before, number = len(known), 1
        while True:
            page = _page(context, number)
            step = _step(context, part, page, 0, total)
            known.update(from_listing.object_ids(step.reports))
            yield replace(step, seen=len(known), expected=max(total or 0, len(known)))
            if page.next is None:
                break
            number += 1
        if len(known) == before:
            break
    if len(known) < (total or 0):
        raise ScrollInUseError("Not all companies can be listed by page, and somebody else has the scroll.", _RETRY)


def _page(context: RunContext, number: int) -> Page:
    try:
        return context.client.companies_page(number)
    except ScrollRequiredError as error:
        # Both ways are closed for now; the part is tried again later, and begins with the scroll.
        message = "Companies beyond the 10,000th need the scroll, which somebody else has."
        raise ScrollInUseError(message, _RETRY) from error


def _step(context: RunContext, part: Part, page: Page, seen: int, total: int | None) -> PageResult:
    told: list[Report] = from_listing.reports_from_page(
        context.run.workspace_id, context.run.source, page.items, page.as_of_ms, from_listing.read_company
    )
    shown = ("company", from_listing.object_ids(told)) if context.run.confirms else None
    return PageResult(part.part, told, seen=seen, expected=max(total or 0, seen), shown=shown)
