"""
Pagination by cursor and by page number.

A cursor contains the position of the last object of its page in the order of the list. An object whose position changes
between two pages is therefore skipped or repeated.

Source:
    Intercom's OpenAPI description 2.16, "Pagination".
"""

import base64
from bisect import bisect_left, bisect_right
from typing import Any

import msgspec

from emulator.api.api_call import positive_number
from emulator.api.api_errors import SERVER_ERROR, ApiError, bad_request
from emulator.api.search.contact_search import Position

_MOST_CONTACTS = 150


def cursor_page(
    positions: list[Position], cursor: str | None, size: int, *, descending: bool
) -> tuple[list[Position], str | None]:
    """
    Return the page after a cursor, and the next cursor.

    Args:
        positions: all positions, ascending.
        cursor: the cursor of the previous page; None: the first page.
        size: the page size.
        descending: whether the list goes from the greatest to the least.

    Raises:
        ApiError: the cursor is invalid.
    """
    last = None if cursor is None else _decode_cursor(cursor)
    try:
        if descending:
            end = len(positions) if last is None else bisect_left(positions, last)
            page, more = positions[max(0, end - size) : end][::-1], end > size
        else:
            start = 0 if last is None else bisect_right(positions, last)
            page, more = positions[start : start + size], start + size < len(positions)
    except TypeError:
        # The cursor belongs to a search in another order.
        raise _invalid_cursor() from None
    return page, _encode_cursor(page[-1]) if more else None


def cursor_pages(total: int, size: int, next_cursor: str | None, page: int = 1) -> dict[str, Any]:
    """Return the `pages` object of a list with cursors."""
    pages = {"type": "pages", "page": page, "per_page": size, "total_pages": -(-total // size)}
    return pages | ({"next": {"page": page + 1, "starting_after": next_cursor}} if next_cursor else {})


def numbered_page(ids: list[str], page: int, size: int) -> list[str]:
    """Return one page of a list with page numbers."""
    return ids[(page - 1) * size : page * size]


def read_cursor(value: object, *, empty_fails: bool) -> str | None:
    """
    Read the cursor of a request.

    Args:
        value: the parameter as received; None if it is absent.
        empty_fails: whether an empty cursor is a server error (500), as at Intercom.

    Raises:
        ApiError: the cursor is empty, or is the word for "no value" of some programming languages.
    """
    if value is None:
        return None
    if value == "" and empty_fails:
        raise ApiError(SERVER_ERROR, "server_error", "Internal server error")
    if not isinstance(value, str) or value in ("", "None", "null"):
        raise _invalid_cursor()
    return value


def contacts_per_page(value: object, default: int) -> int:
    """
    Return the requested number of contacts per page.

    Raises:
        ApiError: the value is not a number, or is greater than the largest page.
    """
    return positive_number(value, "per_page", default, _MOST_CONTACTS)


def _invalid_cursor() -> ApiError:
    return bad_request("The parameter starting_after is not a valid cursor", "client_error")


def _encode_cursor(position: Position) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode()


def _decode_cursor(cursor: str) -> Position:
    try:
        key, id_ = msgspec.json.decode(base64.b64decode(cursor, altchars=b"-_", validate=True))
    except (ValueError, TypeError, msgspec.MsgspecError):
        raise _invalid_cursor() from None
    return (tuple(key) if isinstance(key, list) else key), str(id_)
