"""
The scroll over all companies of a workspace.

A scroll is a lease that one caller holds at a time. It expires after an idle minute and cannot be resumed after it
broke off.
"""

import time
from collections.abc import Callable, Iterator

import structlog

from intercom_api.errors import NotFoundError, RejectedError, ScrollInUseError, TransientError
from intercom_api.http import pages
from intercom_api.http.pages import Page
from intercom_api.http.replies import RETRY_PAUSE_SECONDS, Reply

log = structlog.get_logger()

PATH = "/companies/scroll"

# Seconds between attempts while another caller scrolls.
BUSY_PAUSE_SECONDS = 15.0
# Seconds to keep trying: three times the idle minute after which an abandoned scroll (one of ours that broke off, too)
# expires. A scroll that is still open then is in use.
BUSY_TIMEOUT_SECONDS = 180.0

# Times that a scroll is begun. Each one fetches all pages again, so one that breaks off more often is left to the job's
# own schedule.
MAX_STARTS = 6

# fetch(scroll_param): requests a page once.
FetchPage = Callable[[str | None], Reply]


class _BrokenOffError(Exception):
    """The pages so far are not all companies, and the others can no longer be fetched."""


def scroll(fetch: FetchPage, pause: Callable[[float], None] = time.sleep) -> Iterator[Page]:
    """
    Go through all companies, and begin again where a scroll breaks off.

    1. Open a scroll; while another caller holds it, retry for `BUSY_TIMEOUT_SECONDS`.
    2. Yield its pages until one is empty, each requested once: after a lost response Intercom may answer the same
       request with the page after it.
    3. If anything is lost, begin again at step 1, at most `MAX_STARTS` times; the first page then has `restarted` set.

    Process each page within a minute, or the lease expires and the scroll begins again. `next` of a page is
    Intercom's scroll_param; it cannot be used to resume later.

    Args:
        fetch: requests a page once; its argument is the scroll_param, None to open a scroll.
        pause: sleeps so many seconds.

    Raises:
        ScrollInUseError: another caller scrolls for longer than this one waits. Try later, or list by page.
        TransientError: it broke off too often.
    """
    for start in range(MAX_STARTS):
        try:
            yield from _scroll_once(fetch, pause, restarted=start > 0)
        except _BrokenOffError:
            log.warning("the scroll over companies broke off", beginning=start + 1)
            pause(RETRY_PAUSE_SECONDS * (start + 1))
        else:
            return
    raise TransientError("The scroll over companies broke off too often.", BUSY_TIMEOUT_SECONDS)


def _scroll_once(fetch: FetchPage, pause: Callable[[float], None], *, restarted: bool) -> Iterator[Page]:
    reply = _open(fetch, pause)
    while companies := _companies(reply):
        param = reply.json.get("scroll_param")
        if not isinstance(param, str) or not param:
            raise _BrokenOffError
        yield Page(companies, param, None, reply.as_of_ms, restarted)
        restarted = False
        try:
            reply = fetch(param)
        except (TransientError, NotFoundError) as error:
            raise _BrokenOffError from error


def _open(fetch: FetchPage, pause: Callable[[float], None]) -> Reply:
    waited = 0.0
    while True:
        try:
            return fetch(None)
        except RejectedError as error:
            if error.code != "scroll_exists":
                raise
            if waited >= BUSY_TIMEOUT_SECONDS:
                message = "Another scroll over this workspace's companies is open."
                raise ScrollInUseError(message, BUSY_TIMEOUT_SECONDS, request_id=error.request_id) from error
        except TransientError as error:
            # Intercom may have opened it although the response was lost; the next attempt then finds our own lease.
            raise _BrokenOffError from error
        pause(BUSY_PAUSE_SECONDS)
        waited += BUSY_PAUSE_SECONDS


def _companies(reply: Reply) -> list[dict[str, object]]:
    try:
        return pages.list_items(reply, "data", "companies")
    except TransientError as error:
        raise _BrokenOffError from error
