"""What the webhook address answers, beside the plain pages of Flask."""

import traceback
from collections.abc import Iterable
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING

from flask import Response

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class RefusalError(Exception):
    """
    The answer to a request that is not accepted.

    Args:
        status: one of 400, 401, 411, 413, 415, 503. Never another 5xx, 429 or 410: Intercom would throttle, drop or
            unsubscribe.
        reason: one word for logs and metrics.
        sentence: what the sender reads; says nothing about what it sent.
        retry_after_seconds: set with a 503.
    """

    def __init__(self, status: HTTPStatus, reason: str, sentence: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.reason = reason
        self.sentence = sentence
        self.retry_after_seconds = retry_after_seconds

    def response(self) -> Response:
        """Write it as plain text."""
        response = Response(f"{self.sentence}\n", self.status, mimetype="text/plain")
        if self.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(self.retry_after_seconds)
        return response


class EmptyOk(Response):
    """
    The 200 without a body that every accepted notification gets.

    Flask's own response spends a fifth of a notification's time in the web process on headers that are always the
    same; this one hands them out ready.
    """

    _READY_HEADERS = (("Content-Length", "0"),)

    def __init__(self) -> None:
        # Deliberately not Response.__init__, which is what takes the time; nothing here reads what it would set.
        pass

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:  # noqa: ARG002 -- WSGI's signature
        """Send it."""
        start_response("200 OK", list(self._READY_HEADERS))
        return (b"",)


def place_of(error: Exception) -> str:
    """Say what went wrong and where, without the message, which might quote a body."""
    frames = traceback.extract_tb(error.__traceback__)
    return (
        f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"
        if frames
        else repr(type(error))
    )
