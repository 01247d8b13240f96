"""CORS: pages of the origins in ALLOWED_ORIGINS, compared exactly, may call /api with a token and without cookies."""

from http import HTTPStatus

from flask import Response, request

from settings import get_settings
from webhooks.api.problems import api

# What pages of other origins use. The connect pages are not among them: they use cookies.
_PREFIX = "/api/"
_FILES = frozenset({"/sdk.js", "/sdk.d.ts", "/openapi.json"})

_METHODS = "GET, POST, PUT, PATCH, DELETE"
# Not X-User-Id: ADMIN_TOKEN must not be used in a page.
_REQUEST_HEADERS = "Authorization, Content-Type, Accept, Idempotency-Key, Intercom-Version, X-Workspace-Id"
_EXPOSED_HEADERS = (
    "Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id, Intercom-Version"
)
# Seconds that a browser may cache a preflight: how long an origin that was removed from the list can still call.
_MAX_AGE = "600"


@api.before_app_request
def answer_preflight() -> Response | None:
    """Respond to a preflight request, which carries no token yet."""
    if not _is_shared() or request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    response = Response(status=HTTPStatus.NO_CONTENT)
    if _allowed_origin() is not None:
        response.headers["Access-Control-Allow-Methods"] = _METHODS
        response.headers["Access-Control-Allow-Headers"] = _REQUEST_HEADERS
        response.headers["Access-Control-Max-Age"] = _MAX_AGE
    return response


@api.after_app_request
def add_cors_headers(response: Response) -> Response:
    """Name the origin that may read the response; browsers withhold it from all others."""
    if _is_shared():
        # Also without an allowed origin: a cache must not serve the response for one origin to another.
        response.headers.add("Vary", "Origin")
        origin = _allowed_origin()
        if origin is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _EXPOSED_HEADERS
    return response


def _is_shared() -> bool:
    return request.path.startswith(_PREFIX) or request.path in _FILES


def _allowed_origin() -> str | None:
    origin = request.headers.get("Origin")
    return origin if origin is not None and origin in get_settings().allowed_origins else None
