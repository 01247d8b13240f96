"""
Pages: by cursor and by number.

A cursor says after which place to go on, so what moves meanwhile is skipped or repeated.

Source:
    Intercom's OpenAPI description 2.16, "Pagination".
"""

import base64
from bisect import bisect_left, bisect_right
from typing import Any

import msgspec

from emulator.api.api_call import positive_number
from emulator.api.api_errors import SERVER_ERROR, ApiError, bad_request
from emulator.api.search.contact_search import Place

MOST_CONTACTS = 150


def part(places: list[Place], cursor: str | None, size: int, *, descending: bool) -> tuple[list[Place], str | None]:
    """
    Return the page after a cursor and the next cursor.

    Args:
        places: all, ascending.
        cursor: as a page before gave it; None: the first page.
        size: how many.
        descending: from the greatest to the least.

    Raises:
        ApiError: the cursor is none of ours.
    """
    at = None if cursor is None else _opened(cursor)
    try:
        if descending:
            end = len(places) if at is None else bisect_left(places, at)
            page, more = places[max(0, end - size) : end][::-1], end > size
        else:
            start = 0 if at is None else bisect_right(places, at)
            page, more = places[start : start + size], start + size < len(places)
    except TypeError:
        # It is the cursor of a search in another order.
        raise _bad_cursor() from None
    return page, _closed(page[-1]) if more else None


def cursor_pages(total: int, size: int, after: str | None, page: int = 1) -> dict[str, Any]:
    """Return `pages` of a list that goes on by cursor."""
    pages = {"type": "pages", "page": page, "per_page": size, "total_pages": -(-total // size)}
    return pages | ({"next": {"page": page + 1, "starting_after": after}} if after else {})


def numbered(ids: list[str], page: int, size: int) -> list[str]:
    """Return one page of a list that goes by page numbers."""
    return ids[(page - 1) * size : page * size]


def cursor_of(value: object, *, kind: bool) -> str | None:
    """
    Return the cursor that somebody sent; `kind`: an empty one is our own failure (500), as at Intercom.

    Raises:
        ApiError: it is empty, or the word that some languages write for nothing.
    """
    if value is None:
        return None
    if value == "" and kind:
        raise ApiError(SERVER_ERROR, "server_error", "Internal server error")
    if not isinstance(value, str) or value in ("", "None", "null"):
        raise _bad_cursor()
    return value


def contacts_per_page(value: object, default: int) -> int:
    """
    Return how many contacts are wanted.

    Raises:
        ApiError: more than a page holds, or no number.
    """
    return positive_number(value, "per_page", default, MOST_CONTACTS)


def _bad_cursor() -> ApiError:
    return bad_request("The parameter starting_after is not a valid cursor", "client_error")


def _closed(place: Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _opened(cursor: str) -> Place:
    try:
        key, id_ = msgspec.json.decode(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (ValueError, TypeError, msgspec.MsgspecError):
        raise _bad_cursor() from None
    return (tuple(key) if isinstance(key, list) else key), str(id_)
