"""
What goes wrong under /api, as RFC 9457 wants it told: application/problem+json.

Each problem has a `type` that programs compare, a `title` that is the same for all of that type, and a `detail` that
says what to do next. None repeats a token or another user's ids.
"""

from http import HTTPStatus
from typing import Any

import structlog
from flask import Blueprint, Flask, Response, jsonify, request
from werkzeug.exceptions import HTTPException

from webhooks.serving.responses import RefusalError, place_of

log = structlog.get_logger()

# The blueprint of everything for the application. Modules that add routes to it are imported by `webhooks.app`.
api = Blueprint("api", __name__, url_prefix="/api")

MEDIA_TYPE = "application/problem+json"
_TYPE = "urn:intercom-mirror:problem:"

# Seconds; what is away here (SQL, Redis) is mostly back after so long, and probes are this frequent.
_RETRY_AFTER_SECONDS = 5


class Problem(Exception):  # noqa: N818 -- what RFC 9457 calls it
    """
    An answer that is no success.

    Args:
        status: of HTTP.
        type_slug: its kind in one lower-case word with hyphens, "choose-workspace".
        title: the kind in words.
        detail: what is wrong this time, and what to do.
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
        """Write it."""
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


def out_of_order() -> Problem:
    """Return the problem of a mirror whose SQL or Redis is away."""
    return Problem(
        HTTPStatus.SERVICE_UNAVAILABLE,
        "out-of-order",
        "The mirror is out of order",
        "The mirror cannot reach something that it needs. Ask again; its operator sees why at /readyz.",
        retry_after=_RETRY_AFTER_SECONDS,
    )


def of_http(error: HTTPException) -> Problem:
    """Return what Flask says of an address or a method, as a problem."""
    status = error.code or HTTPStatus.INTERNAL_SERVER_ERROR
    phrase = HTTPStatus(status).phrase
    return Problem(status, phrase.lower().replace(" ", "-"), phrase, error.description or f"{phrase}.")


@api.errorhandler(Problem)
def _tell(problem: Problem) -> Response:
    return problem.response()


@api.errorhandler(RefusalError)
def _refuse(error: RefusalError) -> Response:
    more = {} if error.retry_after_seconds is None else {"retry_after": error.retry_after_seconds}
    slug = error.reason.replace("_", "-")
    return Problem(error.status, slug, "The body cannot be taken", error.sentence, **more).response()


@api.errorhandler(Exception)
def _confess(error: Exception) -> Response:
    if isinstance(error, HTTPException):
        return _of_flask(error)
    # Whether SQL is away or the mistake is ours: the log says which, without the message, which may quote a body.
    log.error("mistake under /api", error=place_of(error), method=request.method, endpoint=request.endpoint)
    return out_of_order().response()


def _of_flask(error: HTTPException) -> Response:
    response = of_http(error).response()
    for name, value in error.get_headers():
        if name == "Allow":
            response.headers[name] = value
    return response


def guard_addresses(app: Flask) -> None:
    """Make also unknown addresses below /api answer with problems; no blueprint is asked about them."""

    @app.errorhandler(HTTPException)
    def _unknown(error: HTTPException) -> Response | HTTPException:
        return _of_flask(error) if request.path.startswith("/api/") else error
