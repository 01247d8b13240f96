"""Rendering of the pages: their security headers, and one template for all errors."""

from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog
from flask import Response, make_response, render_template

from settings import get_settings
from workers.connections.intercom_hosts import hosts

log = structlog.get_logger()


class ErrorPage(NamedTuple):
    """
    An error as the user reads it.

    Attributes:
        status: of HTTP.
        reason: one word for the log.
        title: the headline.
        happened: what happened, and what it changed.
        advice: what to do next.
        again: whether the page links to the user's connections.
    """

    status: HTTPStatus
    reason: str
    title: str
    happened: str
    advice: str
    again: bool = True


class ConnectError(Exception):
    """The request ends with an error page."""

    def __init__(self, error_page: ErrorPage) -> None:
        super().__init__(error_page.reason)
        self.error_page = error_page


def page(template: str, status: HTTPStatus = HTTPStatus.OK, **values: object) -> Response:
    """Render a template of the folder `connect`, with the headers of every page."""
    response = make_response(render_template(f"connect/{template}", development=get_settings().development, **values))
    response.status_code = status
    return guarded(response)


def render_error_page(error_page: ErrorPage) -> Response:
    """Render an error, and log its reason."""
    log.warning("connecting failed", reason=error_page.reason, status=error_page.status.value)
    return page("error.html", error_page.status, error=error_page)


def guarded(response: Response) -> Response:
    """Forbid the browser to load anything from other origins, to cache the page and to send it as a referrer."""
    response.headers.update(
        {
            "Content-Security-Policy": _policy(),
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
            "X-Frame-Options": "DENY",
        }
    )
    return response


def _policy() -> str:
    # Chromium applies form-action to the redirects of a form as well, and ours leads to Intercom.
    targets = " ".join(("'self'", *sorted({_origin(address) for address in hosts().authorize.values()})))
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        f"form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
    )


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
