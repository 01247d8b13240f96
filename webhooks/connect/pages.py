"""How the pages are answered: their headers, and one page for everything that went wrong."""

from http import HTTPStatus
from typing import NamedTuple
from urllib.parse import urlsplit

import structlog
from flask import Response, make_response, render_template

from settings import get_settings
from workers.connections.hosts import hosts

log = structlog.get_logger()


class Trouble(NamedTuple):
    """
    What went wrong, for the user: a headline, what happened, what to do.

    `reason` is one word for the log; `again` whether the page offers the way back to the connections.
    """

    status: HTTPStatus
    reason: str
    title: str
    happened: str
    advice: str
    again: bool = True


class TroubleError(Exception):
    """A request ends with the page of a trouble."""

    def __init__(self, trouble: Trouble) -> None:
        super().__init__(trouble.reason)
        self.trouble = trouble


def page(template: str, status: HTTPStatus = HTTPStatus.OK, **values: object) -> Response:
    """Render one of our templates, with the headers that every page has."""
    settings = get_settings()
    response = make_response(render_template(f"connect/{template}", development=settings.development, **values))
    response.status_code = status
    return guarded(response)


def trouble_page(trouble: Trouble) -> Response:
    """Show what went wrong, and write one line of log about it."""
    log.warning("connecting stopped", reason=trouble.reason, status=trouble.status.value)
    return page("trouble.html", trouble.status, trouble=trouble)


def guarded(response: Response) -> Response:
    """Let a browser load nothing from elsewhere, keep nothing, and tell no other site where it came from."""
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
    # Chromium holds a form's redirects to form-action as well, and ours leads to Intercom.
    targets = " ".join(("'self'", *sorted({_origin(address) for address in hosts().authorize.values()})))
    return (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        f"form-action {targets}; frame-ancestors 'none'; base-uri 'none'"
    )


def _origin(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"
