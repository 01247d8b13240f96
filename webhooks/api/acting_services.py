"""What acting needs beside HTTP: clients with a user's own token, and the mirror that learns. Loads SQL."""

from functools import partial
from http import HTTPStatus

import structlog
from sqlalchemy.exc import SQLAlchemyError

from intercom_api.http.client import IntercomClient
from intercom_api.http.passthrough import ProxiedResponse
from intercom_api.http.replies import error_code
from webhooks.api.access_cache import openings
from webhooks.api.auth import Caller
from webhooks.api.problems import Problem
from workers.actions.catalogue import ACTIONS, perform
from workers.actions.definition import ActionContext
from workers.connections import registry
from workers.runtime.process import engine, reader
from workers.write_through import write_through

log = structlog.get_logger()

__all__ = ["ACTIONS", "learned", "pass_on", "perform", "tools_for"]

_JSON = "application/json"


def tools_for(asking: Caller) -> ActionContext:
    """Return what actions work with on somebody's behalf."""
    owner = "operator" if asking.user_id is None else f"user:{asking.user_id}"
    client_of = partial(registry.client_of, user_id=asking.user_id)
    return ActionContext(engine(), reader(), client_of, registry.end_refused_connections, write_through, owner)


def pass_on(
    user_id: str | None,
    workspace_id: str,
    method: str,
    address: tuple[str, str],
    headers: dict[str, str],
    body: bytes | None,
) -> ProxiedResponse:
    """
    Pass a call on with the user's own token; `address` is path and query as checked.

    Raises:
        Problem: nobody is connected any more.
        InvalidAddressError: the address would lead to another host or path.
        TransientError: no allowance, or no answer.
    """
    return _client(user_id, workspace_id).forward(method, *address, headers, body)


def learned(workspace_id: str, method: str, path: str, passed: ProxiedResponse) -> bytes | None:
    """
    Read an answer and have the mirror learn from it.

    Returns:
        The body; None for one that is nothing to learn from, and still to be read.

    Raises:
        ResponseTooLongError: it cannot be read whole.
        TransientError: it broke off.
    """
    if method == "HEAD":
        passed.close()
        return b""
    if passed.length is not None and passed.headers.get("Content-Type", "").partition(";")[0].strip().lower() != _JSON:
        return None
    content = passed.read()
    if passed.status == HTTPStatus.UNAUTHORIZED:
        _doubt(workspace_id, error_code(content))
    reply = passed.reply(content)
    if reply is not None:
        write_through(workspace_id, method, path, reply)
    return content


def _doubt(workspace_id: str, code: str) -> None:
    try:
        registry.end_refused_connections(workspace_id, code)
    except SQLAlchemyError as error:
        # The caller gets Intercom's answer all the same; the next call with the token raises the doubt again.
        log.warning(
            "a doubt about a token could not be followed", workspace_id=workspace_id, error=type(error).__name__
        )


def _client(user_id: str | None, workspace_id: str) -> IntercomClient:
    client = openings().client(user_id, workspace_id)
    if client is None:
        raise Problem(
            HTTPStatus.CONFLICT,
            "not-connected",
            "The workspace is not connected",
            "Connect it again on the connect page.",
        )
    return client
