"""The lists of Intercom, page by page; that of the contacts in windows side by side, as one cursor would take hours."""

from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from time import time

from msgspec.structs import replace

from intercom_api.errors import ScrollRequiredError
from intercom_api.http.client import IntercomClient
from intercom_api.http.pages import Page
from workers.sync import windows
from workers.sync.windows import DayWindow
from workers.verify.context import THREADS

# Below so many contacts one cursor is as quick.
_FEW = 1_000

_OLDEST_FIRST = {"field": "created_at", "order": "ascending"}


def pages_of(client: IntercomClient, object_type: str, *, first: bool = True) -> Iterator[Page]:
    """
    Go through all objects of a type that Intercom lists; some may come twice.

    Args:
        client: of the workspace.
        object_type: contact, company, tag or segment.
        first: the quick way, where there is one; one of a few may be missed while the list moves.

    Raises:
        TransientError: a page cannot be had.
    """
    if object_type == "contact":
        return _in_windows(client) if first else _by_cursor(client)
    if object_type == "company":
        return _companies(client)
    return iter([client.tags() if object_type == "tag" else client.segments()])


def _by_cursor(client: IntercomClient) -> Iterator[Page]:
    cursor = None
    while True:
        page = client.contacts_page(cursor)
        yield page
        if (cursor := page.next) is None:
            return


def _companies(client: IntercomClient) -> Iterator[Page]:
    number: str | None = "1"
    # The first 10,000 are met again then, but the scroll has no other beginning.
    with suppress(ScrollRequiredError):
        while number is not None:
            page = client.companies_page(int(number))
            yield page
            number = page.next
        return
    yield from client.scroll_companies()


def _in_windows(client: IntercomClient) -> Iterator[Page]:
    total = client.contacts_page(None, 1).total or 0
    if total < _FEW:
        yield from _by_cursor(client)
        return
    tomorrow = windows.day_of(int(time())) + 2
    oldest = client.search_contacts(windows.search_query(DayWindow(None, tomorrow)), None, 1, _OLDEST_FIRST).items
    created_at = oldest[0].get("created_at") if oldest else None
    day = windows.day_of(created_at) if isinstance(created_at, int) else tomorrow
    # A time far from any real one must not stretch the plan; it lies in the window without a beginning.
    first = min(max(day, windows.EPOCH_OF_INTERCOM), tomorrow)
    yield from (replace(page, total=total) for page in _side_by_side(client, windows.plan(first, tomorrow, total)))


def _side_by_side(client: IntercomClient, waiting: list[DayWindow]) -> Iterator[Page]:
    """Read windows, some at the same time; of each no more than one page is in memory."""

    def read(window: DayWindow, cursor: str | None) -> Page:
        return client.search_contacts(windows.search_query(window), cursor, sort=_OLDEST_FIRST)

    with ThreadPoolExecutor(max_workers=THREADS) as pool:
        under_way: dict[Future[Page], DayWindow] = {}
        while waiting or under_way:
            while waiting and len(under_way) < THREADS:
                window = waiting.pop()
                under_way[pool.submit(read, window, None)] = window
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                window, page = under_way.pop(future), future.result()
                past = bool(page.items) and window.end is not None
                past = past and windows.is_past_end(window, page.items[-1].get("created_at"))
                if page.next is not None and not past:
                    under_way[pool.submit(read, window, page.next)] = window
                yield page
