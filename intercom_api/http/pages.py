"""Pages of Intercom's lists: reads the members and the cursor or number of the next page from a reply."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from intercom_api.errors import TransientError
from intercom_api.http.replies import RETRY_PAUSE_SECONDS, Reply

# Companies that pages reach; the others are reached only by the scroll.
MAX_PAGED_COMPANIES = 10_000


class Page(msgspec.Struct, frozen=True):
    """
    One page of a list.

    Attributes:
        items: the members, as Intercom's JSON; an empty page may have a next one.
        next: the cursor or number of the following page; None after the last one.
        total: the number of members on all pages, if Intercom gives it.
        as_of_ms: as in `Reply`.
        restarted: the list began again at its first page, because it cannot be resumed where it broke off; members of
            the pages before this one are repeated.
    """

    items: list[dict[str, Any]]
    next: str | None
    total: int | None
    as_of_ms: int
    restarted: bool = False


def list_items(reply: Reply, *keys: str) -> list[dict[str, Any]]:
    """
    Return the members of a list, which are under the first of `keys` that is present.

    Raises:
        TransientError: there is no list; a truncated response must not be taken for an empty list.
    """
    members = next((reply.json[key] for key in keys if key in reply.json), None)
    if not isinstance(members, list) or not all(isinstance(member, dict) for member in members):
        raise TransientError(
            f"Intercom's response has no list of {keys[0]}.", RETRY_PAUSE_SECONDS, request_id=reply.request_id
        )
    return members


def single_page(reply: Reply, *keys: str) -> Page:
    """Read a list that Intercom sends on one page; keys and errors as in `list_items`."""
    members = list_items(reply, *keys)
    return Page(members, None, len(members), reply.as_of_ms)


def page_by_cursor(reply: Reply, requested: str | None, *keys: str) -> Page:
    """
    Read a page whose next page has a cursor.

    Args:
        reply: Intercom's.
        requested: the cursor of this page; None for the first one.
        keys: as in `list_items`.

    Raises:
        TransientError: there is no list, or the page gives itself as its next page.
    """
    pages = reply.json.get("pages")
    cursor = _cursor(pages.get("next")) if isinstance(pages, dict) else None
    if cursor is not None and cursor == requested:
        raise TransientError(
            "Intercom's page gives itself as its next page.", RETRY_PAUSE_SECONDS, request_id=reply.request_id
        )
    return Page(list_items(reply, *keys), cursor, _number(reply.json.get("total_count")), reply.as_of_ms)


def page_by_number(reply: Reply, page: int, per_page: int) -> Page:
    """
    Read a page whose next page has a number.

    A list that ends exactly at `MAX_PAGED_COMPANIES` has a next page too, so that the limit is not taken for the end.

    Raises:
        TransientError: there is no list.
    """
    members = list_items(reply, "data", "companies")
    pages, total = reply.json.get("pages"), _number(reply.json.get("total_count"))
    last = _number(pages.get("total_pages")) if isinstance(pages, dict) else None
    more = page < last if last is not None else len(members) == per_page
    more = more or (bool(members) and page * per_page >= MAX_PAGED_COMPANIES)
    return Page(members, str(page + 1) if more else None, total, reply.as_of_ms)


def _cursor(value: Any) -> str | None:
    """Read `pages.next`: an object, or in some lists an address, from which only the cursor is taken."""
    if isinstance(value, str):
        query = parse_qs(urlsplit(value).query)
        value = {name: values[0] for name, values in query.items()}
        value["starting_after"] = value.get("starting_after") or value.get("page")
    cursor = value.get("starting_after") if isinstance(value, dict) else None
    return str(cursor) if cursor else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
