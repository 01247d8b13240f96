"""
Who asks under /api, and about which workspace.

A user comes with a token that the application signed, and touches the workspaces that they connected and no others:
also the answers to wrong questions tell nothing about those of other users. The operator comes with ADMIN_TOKEN, and
acts for the user that X-User-Id names, or for nobody.
"""

import hmac
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, NamedTuple

from flask import request

from settings import get_settings
from webhooks.api.problems import Problem
from webhooks.user_tokens import LONGEST_USER_ID, UserTokenError, user_of_header

_SCHEME = "bearer "

USER_HEADER = "X-User-Id"
WORKSPACE_HEADER = "X-Workspace-Id"


class Caller(NamedTuple):
    """
    Who asks.

    `user_id`: whom it is for; None only where the operator asks for nobody. `operator`: ADMIN_TOKEN was shown.
    """

    user_id: str | None
    operator: bool


def caller() -> Caller:
    """
    Return who asks, by the header Authorization.

    Raises:
        Problem: 401.
    """
    authorization = request.headers.get("Authorization")
    if _is_operator(authorization):
        return Caller(_named_user(), operator=True)
    try:
        return Caller(user_of_header(authorization), operator=False)
    except UserTokenError as error:
        raise Problem(HTTPStatus.UNAUTHORIZED, "not-authorized", "The token opens nothing here", str(error)) from None


def operator_only() -> Caller:
    """
    Return who asks, who must be the operator.

    Raises:
        Problem: 401 or 403.
    """
    asking = caller()
    if not asking.operator:
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "operator-only",
            "Only the operator may do this",
            "Ask with ADMIN_TOKEN instead of a user token.",
        )
    return asking


def workspaces_of(asking: Caller) -> list[str]:
    """Return the ids of the workspaces that somebody may touch now; of all connected ones for the operator alone."""
    found: list[str] = _openings().workspaces(asking.user_id)
    return found


def workspace_for(asking: Caller) -> str:
    """
    Return the workspace that is asked about: that of X-Workspace-Id, or the only one there is.

    Raises:
        Problem: 403 it is not theirs; 409 none is connected, or several are and none was named.
    """
    return chosen(request.headers.get(WORKSPACE_HEADER), workspaces_of(asking))


def chosen(wanted: str | None, theirs: Sequence[str]) -> str:
    """
    Choose among the workspaces that somebody may touch.

    Raises:
        Problem: see `workspace_for`.
    """
    if wanted:
        if wanted in theirs:
            return wanted
        # The same words whether the workspace exists or not.
        raise Problem(
            HTTPStatus.FORBIDDEN,
            "not-your-workspace",
            "The workspace is not open to you",
            f"No connection of this user to the workspace in {WORKSPACE_HEADER} is open. Connect it, or name another.",
            **_where_to_connect(),
        )
    if not theirs:
        raise Problem(
            HTTPStatus.CONFLICT,
            "not-connected",
            "No workspace is connected",
            "This user has no connected Intercom workspace. Open the connect page with a user token.",
            **_where_to_connect(),
        )
    if len(theirs) > 1:
        raise Problem(
            HTTPStatus.CONFLICT,
            "choose-workspace",
            "Several workspaces are connected",
            f"Name one of them in the header {WORKSPACE_HEADER}.",
            workspaces=list(theirs),
        )
    return theirs[0]


def _is_operator(authorization: str | None) -> bool:
    admin_token = get_settings().admin_token
    if not admin_token or authorization is None or not authorization.lower().startswith(_SCHEME):
        return False
    shown = authorization[len(_SCHEME) :].strip()
    return hmac.compare_digest(shown.encode(), admin_token.encode())


def _named_user() -> str | None:
    user_id = request.headers.get(USER_HEADER)
    if user_id is None:
        return None
    if not user_id.strip() or len(user_id) > LONGEST_USER_ID or not user_id.isprintable():
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "bad-user",
            "No such user id",
            f"{USER_HEADER} is 1 to {LONGEST_USER_ID} printable characters.",
        )
    return user_id


def _where_to_connect() -> dict[str, str]:
    return {"connect_url": f"{get_settings().public_url}/connect"}


def _openings() -> Any:
    # It loads SQL, which a process that only receives does without.
    from webhooks.api.access_cache import openings  # noqa: PLC0415

    return openings()
