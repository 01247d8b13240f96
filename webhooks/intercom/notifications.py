"""The address that Intercom posts its notifications to."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

import structlog
from flask import Blueprint, Response, request

from intercom_api.errors import SignatureError
from intercom_api.wire.signatures import verify
from settings import get_settings
from webhooks.serving.rate_limited_log import SparingLog
from webhooks.serving.request_body import read_whole_body
from webhooks.serving.responses import EmptyOk, RefusalError, place_of
from workers.inbox.appender import RETRY_AFTER_SECONDS, InboxRefusedError
from workers.runtime.counters import ACCEPTED, REFUSED

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

log = structlog.get_logger()

PATH = "/webhooks/intercom"

# Where `webhooks.server` puts its `Inbox`, which holds the response back until the entry is safe. The view needs it.
INBOX_KEY = "intercom_mirror.inbox"

_refusals = SparingLog()

notifications = Blueprint("notifications", __name__)


class Inbox(Protocol):
    """Where notifications go."""

    def append(self, body: bytes) -> object:
        """Append; the answer must not leave before the entry is safe. Raises InboxRefusedError."""

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""


@notifications.route(PATH, methods=["HEAD", "POST"])
def receive_notification() -> Response:
    """Put a signed body into the inbox, and say 200 once it is there."""
    return receive(request.environ)


def receive(environ: "WSGIEnvironment") -> Response:
    """
    Answer a request to the webhook address.

    Nothing is parsed here: a signed body that cannot be read is parked by the drain, because an error would only
    bring it back. HEAD is how Intercom checks the address when it is saved. A refusal's text says what is wrong with
    the request and repeats nothing of it.
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
    except Exception as error:  # noqa: BLE001 -- nothing was acknowledged, so trying again is right
        log.error("mistake in receive", error=place_of(error))  # noqa: TRY400 -- messages may hold the body
        sentence = "The notification was not taken. Send it again."
        return _refuse(RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "mistake", sentence, RETRY_AFTER_SECONDS), inbox)
    return EmptyOk()


def _take(environ: "WSGIEnvironment", inbox: Inbox) -> None:
    settings = get_settings()
    body = read_whole_body(environ, settings.max_body_bytes)
    verify(body, environ.get("HTTP_X_HUB_SIGNATURE"), settings.client_secrets)
    inbox.count(ACCEPTED)
    inbox.append(body)


def refused_by_inbox(error: InboxRefusedError, inbox: Inbox) -> Response:
    """Return the answer when the inbox refuses, now or after it took its time; needs no request of Flask's."""
    sentence = "The inbox takes nothing at the moment. Send it again."
    return _refuse(RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "inbox", sentence, error.retry_after_seconds), inbox)


def _refuse(refusal: RefusalError, inbox: Inbox) -> Response:
    _refusals.warning("notification refused", status=refusal.status.value, reason=refusal.reason)
    inbox.count(REFUSED, reason=refusal.reason)
    return refusal.response()
