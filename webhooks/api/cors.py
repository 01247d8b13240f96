"""Which pages of other origins may ask: those that ALLOWED_ORIGINS lists, each exactly, with a token and no cookie."""

from http import HTTPStatus

from flask import Response, request

from settings import get_settings
from webhooks.api.problems import api

# What pages of other origins use. The pages of connecting are not among them: they go by cookies.
_PREFIX = "/api/"
_FILES = frozenset({"/sdk.js", "/sdk.d.ts", "/openapi.json"})

_METHODS = "GET, POST, PUT, PATCH, DELETE"
# Not X-User-Id: the operator's key has no place in a page.
_ASKED = "Authorization, Content-Type, Accept, Idempotency-Key, Intercom-Version, X-Workspace-Id"
_TOLD = "Retry-After, X-RateLimit-Limit, X-RateLimit-Remaining, X-RateLimit-Reset, X-Request-Id, Intercom-Version"
# Seconds that a browser may remember the permission: an origin that is taken off the list is out soon.
_REMEMBER = "600"


@api.before_app_request
def answer_first() -> Response | None:
    """Answer a browser that asks before it calls (a preflight); it shows no token yet."""
    if not _is_shared() or request.method != "OPTIONS" or "Access-Control-Request-Method" not in request.headers:
        return None
    response = Response(status=HTTPStatus.NO_CONTENT)
    if _allowed() is not None:
        response.headers["Access-Control-Allow-Methods"] = _METHODS
        response.headers["Access-Control-Allow-Headers"] = _ASKED
        response.headers["Access-Control-Max-Age"] = _REMEMBER
    return response


@api.after_app_request
def allow(response: Response) -> Response:
    """Name the origin that may read the answer; browsers keep it from all others."""
    if _is_shared():
        # Also where none is named: a cache must not show the answer for one origin to another.
        response.headers.add("Vary", "Origin")
        origin = _allowed()
        if origin is not None:
            response.headers["Access-Control-Allow-Origin"] = origin
            response.headers["Access-Control-Expose-Headers"] = _TOLD
    return response


def _is_shared() -> bool:
    return request.path.startswith(_PREFIX) or request.path in _FILES


def _allowed() -> str | None:
    origin = request.headers.get("Origin")
    return origin if origin is not None and origin in get_settings().allowed_origins else None
