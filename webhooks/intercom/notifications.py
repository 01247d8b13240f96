"""The route to which Intercom posts its notifications."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

import structlog
from flask import Blueprint, Response, request

from intercom_api.errors import SignatureError
from intercom_api.wire.signatures import verify
from settings import get_settings
from webhooks.serving.rate_limited_log import RateLimitedLog
from webhooks.serving.request_body import read_whole_body
from webhooks.serving.responses import EmptyOk, RefusalError, error_location
from workers.inbox.appender import RETRY_AFTER_SECONDS, InboxRefusedError
from workers.runtime.counters import ACCEPTED, REFUSED

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = structlog.get_logger()

PATH = "/webhooks/intercom"

# Where `webhooks.server` puts its `Inbox`, which holds the response back until the entry is safe. The view needs it.
INBOX_KEY = "intercom_mirror.inbox"

_refusals = RateLimitedLog()

notifications = Blueprint("notifications", __name__)


class Inbox(Protocol):
    """Where notifications are appended."""

    def append(self, body: bytes) -> object:
        """Append; the response must not be sent before the entry is on disk. Raises InboxRefusedError."""

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""


@notifications.route(PATH, methods=["HEAD", "POST"])
def receive_notification() -> Response:
    """Append a signed body to the inbox; 200 once it is on disk."""
    return receive(request.environ)


def receive(environ: "WSGIEnvironment") -> Response:
    """
    Handle a request to the webhook address.

    Nothing is parsed here: a signed body that cannot be read is parked by the drain, because an error would only make
    Intercom send it again. Intercom sends HEAD to check the address when it is saved. The text of a refusal gives the
    reason and repeats nothing of the request.
    """
    if environ["REQUEST_METHOD"] == "HEAD":
        return EmptyOk()
    inbox: Inbox = environ[INBOX_KEY]
    try:
        _take(environ, inbox)
    except SignatureError as error:
        return _refuse(RefusalError(HTTPStatus.UNAUTHORIZED, "signature", str(error)), inbox)
    except InboxRefusedError as error:
        return refused_by_inbox(error, inbox)
    except RefusalError as error:
        return _refuse(error, inbox)
    except Exception as error:  # noqa: BLE001 -- nothing was acknowledged, so it must be sent again
        log.error("unexpected error while receiving", error=error_location(error))  # noqa: TRY400 -- it may quote the body
        message = "The notification was not accepted. Send it again."
        return _refuse(RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "mistake", message, RETRY_AFTER_SECONDS), inbox)
    return EmptyOk()


def _take(environ: "WSGIEnvironment", inbox: Inbox) -> None:
    settings = get_settings()
    body = read_whole_body(environ, settings.max_body_bytes)
    verify(body, environ.get("HTTP_X_HUB_SIGNATURE"), settings.client_secrets)
    inbox.count(ACCEPTED)
    inbox.append(body)


def refused_by_inbox(error: InboxRefusedError, inbox: Inbox) -> Response:
    """Return the response for an inbox that refuses, at once or later; needs no Flask request context."""
    message = "The inbox is unavailable. Send it again."
    return _refuse(RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "inbox", message, error.retry_after_seconds), inbox)


def _refuse(refusal: RefusalError, inbox: Inbox) -> Response:
    _refusals.warning("notification refused", status=refusal.status.value, reason=refusal.reason)
    inbox.count(REFUSED, reason=refusal.reason)
    return refusal.response()
