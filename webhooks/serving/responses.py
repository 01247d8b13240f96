"""Responses that are not Flask pages: refusals in plain text, and the empty 200."""

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
    The request is not accepted.

    Args:
        status: one of 400, 401, 411, 413, 415, 503. Never another 5xx, 429 or 410: Intercom would throttle the
            deliveries, drop the notification or end the subscription.
        reason: one word for logs and metrics.
        message: what the sender reads; repeats nothing of the request.
        retry_after_seconds: set with a 503.
    """

    def __init__(self, status: HTTPStatus, reason: str, message: str, retry_after_seconds: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.retry_after_seconds = retry_after_seconds

    def response(self) -> Response:
        """Return it as plain text."""
        response = Response(f"{self.message}\n", self.status, mimetype="text/plain")
        if self.retry_after_seconds is not None:
            response.headers["Retry-After"] = str(self.retry_after_seconds)
        return response


class EmptyOk(Response):
    """
    The 200 without a body with which every accepted notification is answered.

    Building Flask's own response takes a fifth of the web process's time for a notification, for headers that are
    always the same; here they are constants.
    """

    _HEADERS = (("Content-Length", "0"),)

    def __init__(self) -> None:
        # Deliberately not Response.__init__, which takes the time; nothing here reads what it would set.
        pass

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:  # noqa: ARG002 -- WSGI's signature
        """Send the response."""
        start_response("200 OK", list(self._HEADERS))
        return (b"",)


def error_location(error: Exception) -> str:
    """Return the class of an error and where it was raised, without its message, which may quote a body."""
    frames = traceback.extract_tb(error.__traceback__)
    return (
        f"{type(error).__name__} at {Path(frames[-1].filename).name}:{frames[-1].lineno}"
        if frames
        else repr(type(error))
    )
