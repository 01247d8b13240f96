"""Pages of lists: what is on one, and how the next one is asked for."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import msgspec

from intercom_api.errors import TransientError
from intercom_api.http.replies import RETRY_PAUSE_SECONDS, Reply

# Pages of companies reach this far; beyond it there is only the scroll.
MAX_PAGED_COMPANIES = 10_000


class Page(msgspec.Struct, frozen=True):
    """
    One page of a list.

    `next` is what asks for the following page, None after the last one; an empty page may have a next one. `total` is
    how many there are in all, as far as Intercom says. `as_of_ms`: as in `Reply`. `restarted`: the list began again
    from its first page, because it cannot be resumed where it broke off; what came before comes again.
    """

    items: list[dict[str, Any]]
    next: str | None
    total: int | None
    as_of_ms: int
    restarted: bool = False


def items(reply: Reply, *keys: str) -> list[dict[str, Any]]:
    """
    Return the members of a list, which stand under the first of `keys` that is there.

    Raises:
        TransientError: there is no list; an answer that was cut off must not look like an empty one.
    """
    found = next((reply.json[key] for key in keys if key in reply.json), None)
    if not isinstance(found, list) or not all(isinstance(member, dict) for member in found):
        raise TransientError(
            f"Intercom's answer has no list of {keys[0]}.", RETRY_PAUSE_SECONDS, request_id=reply.request_id
        )
    return found


def whole(reply: Reply, *keys: str) -> Page:
    """Read a list that comes on one page; keys and errors as in `items`."""
    found = items(reply, *keys)
    return Page(found, None, len(found), reply.as_of_ms)


def by_cursor(reply: Reply, asked: str | None, *keys: str) -> Page:
    """
    Read a page whose next one is named by a cursor.

    `asked` is the cursor that asked for this page.

    Raises:
        TransientError: the page is none, or names itself as the next one.
    """
    pages = reply.json.get("pages")
    found = _cursor(pages.get("next")) if isinstance(pages, dict) else None
    if found is not None and found == asked:
        raise TransientError(
            "Intercom's page names itself as the next.", RETRY_PAUSE_SECONDS, request_id=reply.request_id
        )
    return Page(items(reply, *keys), found, _number(reply.json.get("total_count")), reply.as_of_ms)


def by_number(reply: Reply, page: int, per_page: int) -> Page:
    """
    Read a page whose next one is named by its number.

    A list that ends exactly at the wall has a next page all the same, so that nobody takes the wall for the end.

    Raises:
        TransientError: the page is none.
    """
    found = items(reply, "data", "companies")
    pages, total = reply.json.get("pages"), _number(reply.json.get("total_count"))
    last = _number(pages.get("total_pages")) if isinstance(pages, dict) else None
    more = page < last if last is not None else len(found) == per_page
    more = more or (bool(found) and page * per_page >= MAX_PAGED_COMPANIES)
    return Page(found, str(page + 1) if more else None, total, reply.as_of_ms)


def _cursor(value: Any) -> str | None:
    """Read what `pages.next` holds: an object, or in some lists an address, of which only the cursor is taken."""
    if isinstance(value, str):
        query = parse_qs(urlsplit(value).query)
        value = {name: values[0] for name, values in query.items()}
        value["starting_after"] = value.get("starting_after") or value.get("page")
    cursor = value.get("starting_after") if isinstance(value, dict) else None
    return str(cursor) if cursor else None


def _number(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None
