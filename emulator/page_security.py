"""What keeps other web sites out of the emulator's page: it answers to this machine's own names, and to JSON only."""

from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.exceptions import Forbidden, UnsupportedMediaType

from emulator.api.api_middleware import LOCAL_HOST_NAMES

_HEADERS = {
    # Nothing is loaded from elsewhere, and nothing written inline is run.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def protect(app: Flask) -> None:
    """Add the checks before, and the headers after, every request."""
    app.before_request(_check)
    app.after_request(_add_headers)


def _check() -> None:
    # A site whose name was pointed at this machine shows that name here.
    if urlsplit(f"//{request.host}").hostname not in LOCAL_HOST_NAMES:
        raise Forbidden("The emulator answers to 127.0.0.1 and localhost only.")
    # A form of another site cannot send this type without being asked first.
    if request.method not in ("GET", "HEAD", "OPTIONS") and not request.is_json:
        raise UnsupportedMediaType("Send JSON.")


def _add_headers(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response


def body() -> dict[str, Any]:
    """
    Return the JSON object that was sent.

    Raises:
        UnsupportedMediaType: it is another kind of JSON.
    """
    value = request.get_json()
    if not isinstance(value, dict):
        raise UnsupportedMediaType("Send a JSON object.")
    return value
