"""
Authentication and authorization under /api.

A user presents a token signed by the application, and may access the workspaces that they connected and no others;
error responses, too, reveal nothing about those of other users. The operator presents ADMIN_TOKEN, and acts for the
user named by X-User-Id, or for no user.
"""

import hmac
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from flask import request

from settings import get_settings
from webhooks.api.problems import Problem
from webhooks.user_tokens import LONGEST_USER_ID, UserTokenError, is_user_id, user_of_header

_SCHEME = "bearer "

USER_HEADER = "X-User-Id"
WORKSPACE_HEADER = "X-Workspace-Id"


class Caller(NamedTuple):
    """
    The authenticated sender of a request.

    Attributes:
        user_id: the user on whose behalf it is sent; None only if the operator names none.
        operator: whether ADMIN_TOKEN was presented.
    """

    user_id: str | None
    operator: bool


def authenticate() -> Caller:
    """
    Return the sender of the request, by its Authorization header.

    Raises:
        Problem: 401.
    """
    authorization = request.headers.get("Authorization")
    if _is_operator(authorization):
        return Caller(_named_user(), operator=True)
    try:
        return Caller(user_of_header(authorization), operator=False)
    except UserTokenError as error:
        raise Problem(HTTPStatus.UNAUTHORIZED, "not-authorized", "Not authorized", str(error)) from None


def require_operator() -> Caller:
    """
    Return the sender of the request, who must be the operator.

    Raises:
        Problem: 401 or 403.
    """
    caller = authenticate()
    if not caller.operator:
        raise Problem(
            HTTPStatus.FORBIDDEN, "operator-only", "Operator only", "Use ADMIN_TOKEN instead of a user token."
        )
    return caller


def allowed_workspaces(caller: Caller) -> list[str]:
    """Return the ids of the workspaces that a caller may access now; all connected ones for the operator alone."""
    # Imported late: it loads SQL, which a process that only receives notifications does not need.
    from webhooks.api.access_cache import access_cache  # noqa: PLC0415

    return access_cache().workspaces(caller.user_id)


def select_workspace(caller: Caller) -> str:
    """
    Return the workspace of the request: that of X-Workspace-Id, or the only one there is.

    Raises:
        Problem: 403 if the caller may not access it; 409 if none is connected, or several are and none is named.
    """
    return choose_workspace(request.headers.get(WORKSPACE_HEADER), allowed_workspaces(caller))


def choose_workspace(requested: str | None, allowed: Sequence[str]) -> str:
    """
    Choose among the workspaces that a caller may access.

    Raises:
        Problem: see `select_workspace`.
    """
    if requested:
        if requested in allowed:
            return requested
        # The same text whether the workspace exists or not.
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "not-your-workspace",
            "No access to the workspace",
            f"The user has no open connection to the workspace in {WORKSPACE_HEADER}. Connect it, or name another.",
            **_connect_url(),
        )
    if not allowed:
        raise Problem(
            HTTPStatus.CONFLICT,
            "not-connected",
            "No workspace is connected",
            "The user has no connected Intercom workspace. Open the connect page with a user token.",
            **_connect_url(),
        )
    if len(allowed) > 1:
        raise Problem(
            HTTPStatus.CONFLICT,
            "choose-workspace",
            "Several workspaces are connected",
            f"Name one of them in the header {WORKSPACE_HEADER}.",
            workspaces=list(allowed),
        )
    return allowed[0]


def _is_operator(authorization: str | None) -> bool:
    admin_token = get_settings().admin_token
    if not admin_token or authorization is None or not authorization.lower().startswith(_SCHEME):
        return False
    presented = authorization[len(_SCHEME) :].strip()
    return hmac.compare_digest(presented.encode(), admin_token.encode())


def _named_user() -> str | None:
    user_id = request.headers.get(USER_HEADER)
    if user_id is not None and not is_user_id(user_id):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "bad-user",
            "Invalid user id",
            f"{USER_HEADER} must have 1 to {LONGEST_USER_ID} printable characters.",
        )
    return user_id


def _connect_url() -> dict[str, Any]:
    return {"connect_url": f"{get_settings().public_url}/connect"}
