"""
The address at which Intercom says that a workspace removed the app, or that a token was revoked.

The notice is only a reason to look: whether the tokens are dead is Intercom's to say, and asking takes longer than an
answer may. So the workspace is written down in Redis, which is on disk before the 200 as a notification is, and a
worker looks within seconds. It does not go through the inbox, whose drain must not wait for calls to Intercom.
"""

from http import HTTPStatus

import msgspec
import structlog
from flask import Blueprint, Response, request
from redis.exceptions import RedisError

from intercom_api.errors import SignatureError
from intercom_api.wire.signatures import verify_callback
from settings import get_settings
from webhooks.serving.rate_limited_log import SparingLog
from webhooks.serving.request_body import read_whole_body
from webhooks.serving.responses import EmptyOk, RefusalError
from workers.connections import token_checks
from workers.inbox.appender import RETRY_AFTER_SECONDS
from workers.runtime.redis_clients import blocking_client

log = structlog.get_logger()

# Bytes; the body names one workspace.
_LONGEST_BODY = 16_384

# Characters of a workspace's id; Intercom's have eight.
_LONGEST_ID = 64

_refusals = SparingLog()

uninstall = Blueprint("uninstall", __name__)


class _Notice(msgspec.Struct):
    app_id: str


@uninstall.route("/webhooks/intercom/uninstall", methods=["HEAD", "POST"])
def receive_uninstall() -> Response:
    """Have a worker look at the tokens of the workspace that the signed body names."""
    if request.method == "HEAD":
        return EmptyOk()
    body = read_whole_body(request.environ, _LONGEST_BODY)
    headers = request.headers
    secrets = get_settings().client_secrets
    verify_callback(body, headers.get("X-Body-Signature"), headers.get("X-Hub-Signature"), secrets)
    workspace_id = _workspace_id(body)
    if workspace_id is None:
        # Signed, so it is Intercom's: an error would only bring it back.
        log.warning("an uninstall notice names no workspace")
        return EmptyOk()
    token_checks.request_check(blocking_client(get_settings().redis_url), workspace_id, "uninstalled")
    log.info("an uninstall notice arrived", workspace_id=workspace_id)
    return EmptyOk()


def _workspace_id(body: bytes) -> str | None:
    try:
        found = msgspec.json.decode(body, type=_Notice).app_id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return found if 0 < len(found) <= _LONGEST_ID and found.isascii() and found.isprintable() else None


@uninstall.errorhandler(SignatureError)
def refuse_signature(error: SignatureError) -> Response:
    """Answer 401; the text never repeats the header."""
    return refuse(RefusalError(HTTPStatus.UNAUTHORIZED, "signature", str(error)))


@uninstall.errorhandler(RedisError)
def refuse_for_redis(_error: RedisError) -> Response:
    """Answer 503: nothing was written down. If it is not sent again, the next call to Intercom finds out."""
    sentence = "The notice was not taken. Send it again."
    return refuse(RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "redis", sentence, RETRY_AFTER_SECONDS))


@uninstall.errorhandler(RefusalError)
def refuse(error: RefusalError) -> Response:
    """Answer what the refusal says."""
    _refusals.warning("uninstall notice refused", status=error.status.value, reason=error.reason)
    return error.response()
