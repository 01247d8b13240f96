"""
Errors under /api in the form of RFC 9457: application/problem+json.

Each problem has a `type` that programs compare, a `title` that is the same for every problem of the type, and a
`detail` that says what to do next. None repeats a token or another user's ids.
"""

from http import HTTPStatus
from typing import Any

import structlog
from flask import Blueprint, Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from webhooks.serving.responses import RefusalError, error_location

log = structlog.get_logger()

# The blueprint of all routes under /api. `webhooks.app` imports the modules that add routes to it.
api = Blueprint("api", __name__, url_prefix="/api")

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:intercom-mirror:problem:"

# Seconds. SQL or Redis are mostly reachable again after this time, and health probes are about this frequent.
_RETRY_AFTER_SECONDS = 5


class Problem(Exception):  # noqa: N818 -- the name in RFC 9457
    """
    An error response.

    Args:
        status: of HTTP.
        type_slug: the type, lower-case words with hyphens, such as "choose-workspace".
        title: the type in words.
        detail: what is wrong in this case, and what to do.
        more: further members; `retry_after` (seconds) also becomes the header.
    """

    def __init__(self, status: int, type_slug: str, title: str, detail: str, **more: Any) -> None:
        super().__init__(title)
        self.status = int(status)
        self.type_slug = type_slug
        self.title = title
        self.detail = detail
        self.more = more

    def response(self) -> Response:
        """Return it as a response."""
        body = {"type": f"{_TYPE}{self.type_slug}", "title": self.title, "status": self.status, "detail": self.detail}
        response = jsonify(body | self.more)
        response.status_code = self.status
        response.mimetype = MEDIA_TYPE
        response.headers["Cache-Control"] = "no-store"
        if self.status == HTTPStatus.UNAUTHORIZED:
            response.headers["WWW-Authenticate"] = "Bearer"
        if "retry_after" in self.more:
            response.headers["Retry-After"] = str(self.more["retry_after"])
        return response


def json_response(content: dict[str, Any], status: int = HTTPStatus.OK) -> Response:
    """Return a success of /api; no cache may keep it."""
    response = jsonify(content)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response


def bad_query(name: str, expected: str) -> Problem:
    """Return the problem of a query parameter with an invalid value."""
    return Problem(
        HTTPStatus.BAD_REQUEST, "bad-query", "Invalid query", f"`{name}` must be {expected}.", parameter=name
    )


def integer_parameter(name: str, least: int, most: int, also: str = "") -> int | None:
    """
    Return a query parameter that is an integer; None if it is absent.

    Args:
        also: what else the parameter may be, for the problem's text.

    Raises:
        Problem: it is not a number from `least` to `most`.
    """
    text = request.args.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= len(str(most)) and least <= int(text) <= most):
        raise bad_query(name, f"an integer from {least} to {most}{also}")
    return int(text)


def unavailable() -> Problem:
    """Return the problem of a mirror whose SQL or Redis is unreachable."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "out-of-order",
        "The mirror is unavailable",
        "The mirror cannot reach a service that it needs. Try again; the operator finds the cause at /readyz.",
        retry_after=_RETRY_AFTER_SECONDS,
    )


@api.errorhandler(Problem)
def _render_problem(problem: Problem) -> Response:
    return problem.response()


@api.errorhandler(RefusalError)
def _render_refusal(error: RefusalError) -> Response:
    more = {} if error.retry_after_seconds is None else {"retry_after": error.retry_after_seconds}
    slug = error.reason.replace("_", "-")
    return Problem(error.status, slug, "The body was not accepted", error.message, **more).response()


@api.errorhandler(Exception)
def _render_unexpected(error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _render_http_error(error)
    # SQL is unreachable, or the code has a bug. The log has the cause without the message, which may quote a body.
    log.error(
        "unexpected error under /api", error=error_location(error), method=request.method, endpoint=request.endpoint
    )
    return unavailable().response()


def _render_http_error(error: HTTPException) -> Response:
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    phrase = HTTPStatus(status).phrase
    slug = phrase.lower().replace(" ", "-")
    response = Problem(status, slug, phrase, error.description or f"{phrase}.").response()
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def register_fallback_handler(app: Flask) -> None:
    """Render unknown addresses below /api as problems too; error handlers of a blueprint do not see them."""

    @app.errorhandler(HTTPException)
    def _render_unknown_address(error: HTTPException) -> Response | HTTPException:
        return _render_http_error(error) if request.path.startswith("/api/") else error
