"""
The scroll over all companies.

It is a lease that one caller at a time holds, that ends after an idle minute, and that cannot be resumed once it broke
off.
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

# Seconds between tries while somebody else scrolls, and how long to go on: three times the idle minute after which a
# scroll that nobody reads any more (one of ours that broke off, too) is over. Whoever still scrolls then is at work.
TAKEN_PAUSE_SECONDS = 15.0
TAKEN_PATIENCE_SECONDS = 180.0

# Beginnings. Each one costs all pages anew, so a scroll that breaks off more often is left for another day.
BEGINNINGS = 6

# request(scroll_param): asks once for a page.
Ask = Callable[[str | None], Reply]


class _BrokenOffError(Exception):
    """What came so far is not all, and the rest cannot be had."""


def scroll(ask: Ask, pause: Callable[[float], None] = time.sleep) -> Iterator[Page]:
    """
    Go through all companies, from the beginning again where a scroll breaks off.

    Each page must be dealt with inside a minute, or the lease ends and all begins again. `next` of a page is what
    Intercom calls scroll_param; it cannot be used to go on later.

    Raises:
        ScrollTakenError: somebody else scrolls, for longer than we wait. Try later, or list by page.
        TransientError: it broke off too often.
    """
    for beginning in range(BEGINNINGS):
        try:
            yield from _from_the_beginning(ask, pause, restarted=beginning > 0)
        except _BrokenOffError:
            log.warning("the scroll over companies broke off", beginning=beginning + 1)
            pause(RETRY_PAUSE_SECONDS * (beginning + 1))
        else:
            return
    raise TransientError("The scroll over companies breaks off again and again.", TAKEN_PATIENCE_SECONDS)


def _from_the_beginning(ask: Ask, pause: Callable[[float], None], *, restarted: bool) -> Iterator[Page]:
    reply = _open(ask, pause)
    while companies := _companies(reply):
        param = reply.json.get("scroll_param")
        if not isinstance(param, str) or not param:
            raise _BrokenOffError
        yield Page(companies, param, None, reply.as_of_ms, restarted)
        restarted = False
        reply = _go_on(ask, param)


def _open(ask: Ask, pause: Callable[[float], None]) -> Reply:
    waited = 0.0
    while True:
        try:
            return ask(None)
        except RejectedError as error:
            if error.code != "scroll_exists":
                raise
            if waited >= TAKEN_PATIENCE_SECONDS:
                message = "Another scroll over this workspace's companies is open."
                raise ScrollInUseError(message, TAKEN_PATIENCE_SECONDS, request_id=error.request_id) from error
        except TransientError as error:
            # Perhaps it was opened and only the answer is lost; then we meet our own lease.
            raise _BrokenOffError from error
        pause(TAKEN_PAUSE_SECONDS)
        waited += TAKEN_PAUSE_SECONDS


def _go_on(ask: Ask, param: str) -> Reply:
    """Ask for the next page once: after a lost answer the same question may be answered with the page after it."""
    try:
        return ask(param)
    except (TransientError, NotFoundError) as error:
        raise _BrokenOffError from error


def _companies(reply: Reply) -> list[dict[str, object]]:
    try:
        return pages.items(reply, "data", "companies")
    except TransientError as error:
        raise _BrokenOffError from error
