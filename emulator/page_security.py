"""Protects the emulator's page from other web sites: only this machine's host names and only JSON are accepted."""

from typing import Any
from urllib.parse import urlsplit

from flask import Flask, Response, request
from werkzeug.exceptions import Forbidden, UnsupportedMediaType

from emulator.api.api_middleware import LOCAL_HOST_NAMES

_HEADERS = {
    # Nothing is loaded from other sites, and inline scripts do not run.
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def protect(app: Flask) -> None:
    """Add the checks before every request and the headers after it."""
    app.before_request(_check_request)
    app.after_request(_add_headers)


def _check_request() -> None:
    # DNS rebinding: the name of a site that resolves to this machine appears in the Host header.
    if urlsplit(f"//{request.host}").hostname not in LOCAL_HOST_NAMES:
        raise Forbidden("The emulator is only available as 127.0.0.1 and localhost.")
    # Cross-site request forgery: a form of another site cannot send this type without a preflight request.
    if request.method not in ("GET", "HEAD", "OPTIONS") and not request.is_json:
        raise UnsupportedMediaType("The Content-Type must be application/json.")


def _add_headers(response: Response) -> Response:
    response.headers.update(_HEADERS)
    return response


def json_body() -> dict[str, Any]:
    """
    Return the JSON object in the request body.

    Raises:
        UnsupportedMediaType: the body is another JSON value.
    """
    value = request.get_json()
    if not isinstance(value, dict):
        raise UnsupportedMediaType("The body must be a JSON object.")
    return value
