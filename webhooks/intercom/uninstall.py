"""
The route to which Intercom posts that a workspace removed the app, or that a token was revoked.

The callback only triggers a check: whether the tokens are still valid is for Intercom's API to say, and calling it
takes longer than a response may. So the workspace is recorded in Redis, on disk before the 200 as a notification is,
and a worker checks its tokens within seconds. It does not go through the inbox, whose drain must not wait for Intercom.
"""

from http import HTTPStatus

import msgspec
import structlog
from flask import Blueprint, Response, request
from redis.exceptions import RedisError

from intercom_api.errors import SignatureError
from intercom_api.wire.signatures import verify_callback
from settings import get_settings
from webhooks.serving.rate_limited_log import RateLimitedLog
from webhooks.serving.request_body import read_whole_body
from webhooks.serving.responses import EmptyOk, RefusalError
from workers.connections import token_checks
from workers.inbox.appender import RETRY_AFTER_SECONDS
from workers.runtime.redis_clients import blocking_client

log = structlog.get_logger()

# Bytes; the body names one workspace.
_MAX_BODY_BYTES = 16_384

# Characters of a workspace's id; Intercom's have eight.
_MAX_ID_LENGTH = 64

_refusals = RateLimitedLog()

uninstall = Blueprint("uninstall", __name__)


class _Callback(msgspec.Struct):
    app_id: str


@uninstall.route("/webhooks/intercom/uninstall", methods=["HEAD", "POST"])
def receive_uninstall() -> Response:
    """Have a worker check the tokens of the workspace that the signed body names."""
    if request.method == "HEAD":
        return EmptyOk()
    body = read_whole_body(request.environ, _MAX_BODY_BYTES)
    headers = request.headers
    secrets = get_settings().client_secrets
    verify_callback(body, headers.get("X-Body-Signature"), headers.get("X-Hub-Signature"), secrets)
    workspace_id = _workspace_id(body)
    if workspace_id is None:
        # It is signed, so it comes from Intercom: an error would only make Intercom send it again.
        log.warning("uninstall callback without a workspace")
        return EmptyOk()
    token_checks.request_check(blocking_client(get_settings().redis_url), workspace_id, "uninstalled")
    log.info("uninstall callback received", workspace_id=workspace_id)
    return EmptyOk()


def _workspace_id(body: bytes) -> str | None:
    try:
        app_id = msgspec.json.decode(body, type=_Callback).app_id
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    return app_id if 0 < len(app_id) <= _MAX_ID_LENGTH and app_id.isascii() and app_id.isprintable() else None


@uninstall.errorhandler(SignatureError)
def refuse_signature(error: SignatureError) -> Response:
    """Respond 401; the text never repeats the header."""
    return refuse(RefusalError(HTTPStatus.UNAUTHORIZED, "signature", str(error)))


@uninstall.errorhandler(RedisError)
def refuse_for_redis(_error: RedisError) -> Response:
    """Respond 503: nothing was recorded. If it is not sent again, the next call to Intercom detects the removal."""
    message = "The callback was not accepted. Send it again."
    return refuse(RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "redis", message, RETRY_AFTER_SECONDS))


@uninstall.errorhandler(RefusalError)
def refuse(error: RefusalError) -> Response:
    """Respond with the refusal, and log its reason."""
    _refusals.warning("uninstall callback refused", status=error.status.value, reason=error.reason)
    return error.response()
