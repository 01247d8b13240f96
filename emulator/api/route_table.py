"""Which address is answered by which function."""

from emulator.api import (
    company_routes,
    company_write_routes,
    contact_link_routes,
    contact_routes,
    contact_write_routes,
    message_routes,
    workspace_routes,
    workspace_write_routes,
)
from emulator.api.api_call import Handler, Routes
from emulator.api.api_errors import not_found

_ALL: tuple[Routes, ...] = (
    contact_routes.ROUTES,
    contact_link_routes.ROUTES,
    contact_write_routes.ROUTES,
    company_routes.ROUTES,
    company_write_routes.ROUTES,
    workspace_routes.ROUTES,
    workspace_write_routes.ROUTES,
    message_routes.ROUTES,
)

_Pattern = tuple[tuple[str, ...], Handler]


def _table() -> dict[tuple[str, int], list[_Pattern]]:
    table: dict[tuple[str, int], list[_Pattern]] = {}
    for routes in _ALL:
        for (method, path), handler in routes.items():
            parts = tuple(path.strip("/").split("/"))
            table.setdefault((method, len(parts)), []).append((parts, handler))
    for patterns in table.values():
        # Words before places for an id: /contacts/search is no contact.
        patterns.sort(key=lambda pattern: [part == "{}" for part in pattern[0]])
    return table


_TABLE = _table()


def find_route(method: str, path: str) -> tuple[Handler, list[str]]:
    """
    Return what answers this address, and the ids in it.

    Raises:
        ApiError: nothing does.
    """
    parts = path.strip("/").split("/")
    for pattern, handler in _TABLE.get((method, len(parts)), ()):
        if all(expected in ("{}", part) for expected, part in zip(pattern, parts, strict=True)):
            return handler, [part for expected, part in zip(pattern, parts, strict=True) if expected == "{}"]
    raise not_found("The requested resource could not be found")
