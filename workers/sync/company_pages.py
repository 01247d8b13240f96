"""Read all companies that have contacts: by scroll, or page by page where the scroll is taken."""

from collections.abc import Iterator

import structlog
from msgspec.structs import replace

from intercom_api.errors import ScrollInUseError, ScrollRequiredError
from intercom_api.http.pages import Page
from workers.facts import from_listing
from workers.sync.run_parts import PageResult, Part, RunContext

log = structlog.get_logger()

# Passes over the list by page: it is sorted by last_request_at, which changes while it is read, so that companies move
# from one page to another. A pass that finds no new company is the last one.
MAX_PASSES = 4

# Seconds until the scroll is tried again: Intercom frees it a minute after its last use.
_SCROLL_RETRY_SECONDS = 60.0


def read_companies(context: RunContext, part: Part) -> Iterator[PageResult]:
    """
    Read all companies that have contacts; the others that contacts link to are fetched by refetches.

    1. Read the number of companies.
    2. Read them by scroll. A workspace has one scroll, which one client at a time can use.
    3. If another client uses the scroll, read them by page, which reaches the first 10,000 companies.

    Neither way can be resumed after a crash (the scroll loses its position, pages shift), so there is no cursor.

    Raises:
        ScrollInUseError: there are more companies than pages reach, and another client uses the scroll.
    """
    total = context.client.companies_page(1, 1).total
    seen = 0
    try:
        for page in context.client.scroll_companies():
            # A scroll that broke off starts again from its first page.
            seen = len(page.items) if page.restarted else seen + len(page.items)
            yield _result(context, part, page, seen, total)
    except ScrollInUseError:
        log.info("scroll in use by another client; reading companies by page", workspace=context.run.workspace_id)
        for result in _read_by_page(context, part, total):
            seen = result.seen
            yield result
    yield PageResult(part.name, [], done=True, seen=seen, expected=seen)


def _read_by_page(context: RunContext, part: Part, total: int | None) -> Iterator[PageResult]:
    read_ids: set[str] = set()
    for _ in range(MAX_PASSES):
        before, number = len(read_ids), 1
        while True:
            page = _read_page(context, number)
            result = _result(context, part, page, 0, total)
            read_ids.update(from_listing.object_ids(result.reports))
            yield replace(result, seen=len(read_ids), expected=max(total or 0, len(read_ids)))
            if page.next is None:
                break
            number += 1
        if len(read_ids) == before:
            break
    if len(read_ids) < (total or 0):
        message = "Not all companies can be listed by page, and another client uses the scroll."
        raise ScrollInUseError(message, _SCROLL_RETRY_SECONDS)


def _read_page(context: RunContext, number: int) -> Page:
    try:
        return context.client.companies_page(number)
    except ScrollRequiredError as error:
        # Neither way works for now; the part is retried later, starting with the scroll.
        message = "Companies beyond the 10,000th need the scroll, which another client uses."
        raise ScrollInUseError(message, _SCROLL_RETRY_SECONDS) from error


def _result(context: RunContext, part: Part, page: Page, seen: int, total: int | None) -> PageResult:
    run = context.run
    reports = from_listing.reports_from_page(
        run.workspace_id, run.source, page.items, page.as_of_ms, from_listing.read_company
    )
    listed = ("company", from_listing.object_ids(reports)) if run.confirms_missing else None
    return PageResult(part.name, reports, seen=seen, expected=max(total or 0, seen), listed=listed)
