"""What /api/actions and /api/proxy need besides HTTP: clients with a user's own token, and write-through. Loads SQL."""

from functools import partial
from http import HTTPStatus

import structlog
from sqlalchemy.exc import SQLAlchemyError

from intercom_api.http.passthrough import ProxiedResponse
from intercom_api.http.replies import error_code
from webhooks.api.access_cache import access_cache
from webhooks.api.auth import Caller
from webhooks.api.problems import Problem
from workers.actions.catalogue import ACTIONS, perform
from workers.actions.definition import ActionContext
from workers.connections import registry
from workers.runtime.process_resources import engine, reader
from workers.write_through import write_through

log = structlog.get_logger()

__all__ = ["ACTIONS", "action_context", "forward_call", "perform", "write_through_response"]

_JSON = "application/json"


def action_context(caller: Caller) -> ActionContext:
    """Return the context in which actions run on behalf of a caller."""
    owner = "operator" if caller.user_id is None else f"user:{caller.user_id}"
    client_of = partial(registry.client_of, user_id=caller.user_id)
    return ActionContext(engine(), reader(), client_of, registry.end_refused_connections, write_through, owner)


def forward_call(
    user_id: str | None,
    workspace_id: str,
    method: str,
    address: tuple[str, str],
    headers: dict[str, str],
    body: bytes | None,
) -> ProxiedResponse:
    """
    Forward a call to Intercom with the user's own token.

    Args:
        address: path and query, checked.

    Raises:
        Problem: the workspace is no longer connected.
        InvalidAddressError: the address is outside Intercom's API.
        TransientError: no rate-limit slot, or no response.
    """
    client = access_cache().client(user_id, workspace_id)
    if client is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            "not-connected",
            "The workspace is not connected",
            "Connect it again on the connect page.",
        )
    return client.forward(method, *address, headers, body)


def write_through_response(workspace_id: str, method: str, path: str, proxied: ProxiedResponse) -> bytes | None:
    """
    Read a response, and write what it contains to the mirror.

    Returns:
        The body; None if it contains nothing for the mirror and is still to be read.

    Raises:
        ResponseTooLongError: it is too long to be read.
        TransientError: it was truncated.
    """
    if method == "HEAD":
        proxied.close()
        return b""
    if (
        proxied.length is not None
        and proxied.headers.get("Content-Type", "").partition(";")[0].strip().lower() != _JSON
    ):
        return None
    content = proxied.read()
    if proxied.status == HTTPStatus.UNAUTHORIZED:
        _end_refused_connections(workspace_id, error_code(content))
    reply = proxied.reply(content)
    if reply is not None:
        write_through(workspace_id, method, path, reply)
    return content


def _end_refused_connections(workspace_id: str, code: str) -> None:
    try:
        registry.end_refused_connections(workspace_id, code)
    except SQLAlchemyError as error:
        # The client gets Intercom's response all the same; the next call with the token triggers this again.
        log.warning("a refused token could not be checked", workspace_id=workspace_id, error=type(error).__name__)
