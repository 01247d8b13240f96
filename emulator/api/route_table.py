"""The table of the API's routes."""

from emulator.api import company_routes, contact_link_routes, contact_routes, message_routes, workspace_routes
from emulator.api.api_call import Handler, Routes
from emulator.api.api_errors import not_found

_ALL: tuple[Routes, ...] = (
    contact_routes.ROUTES,
    contact_link_routes.ROUTES,
    company_routes.ROUTES,
    workspace_routes.ROUTES,
    message_routes.ROUTES,
)

_Pattern = tuple[tuple[str, ...], Handler]


def _build_table() -> dict[tuple[str, int], list[_Pattern]]:
    """Return the patterns by method and number of path segments."""
    table: dict[tuple[str, int], list[_Pattern]] = {}
    for routes in _ALL:
        for (method, path), handler in routes.items():
            segments = tuple(path.strip("/").split("/"))
            table.setdefault((method, len(segments)), []).append((segments, handler))
    for patterns in table.values():
        # Words come before placeholders: /contacts/search is not the contact with the id "search".
        patterns.sort(key=lambda pattern: [segment == "{}" for segment in pattern[0]])
    return table


_TABLE = _build_table()


def find_route(method: str, path: str) -> tuple[Handler, list[str]]:
    """
    Return the handler of an address, and the ids in the address.

    Raises:
        ApiError: there is no such route.
    """
    segments = path.strip("/").split("/")
    for pattern, handler in _TABLE.get((method, len(segments)), ()):
        pairs = list(zip(pattern, segments, strict=True))
        if all(expected in ("{}", segment) for expected, segment in pairs):
            return handler, [segment for expected, segment in pairs if expected == "{}"]
    raise not_found("The requested resource could not be found")
