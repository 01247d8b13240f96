"""
Connecting a workspace: where to send the browser, and the code that it brings back for a token.

Source:
    Intercom, "Setting up OAuth", "Installing and uninstalling apps".
"""

from http import HTTPStatus
from urllib.parse import urlencode

from intercom_api.errors import NotAuthorizedError, TransientError
from intercom_api.http import replies
from intercom_api.http.transport import CONNECT_SECONDS, BearerAuth, send

# Seconds; a user looks at a blank page meanwhile.
_TIMEOUT = (CONNECT_SECONDS, 10.0)


def authorize_url(authorize_base: str, client_id: str, redirect_url: str, state: str) -> str:
    """
    Return the address of the page on which a user allows the app.

    Args:
        authorize_base: of `Hosts.authorize_of`.
        client_id: the app's.
        redirect_url: where the browser comes back to; one of those that the Developer Hub lists.
        state: comes back with the browser; whoever started must check it.
    """
    query = {"client_id": client_id, "state": state, "redirect_uri": redirect_url}
    return f"{authorize_base}?{urlencode(query)}"


def exchange_code(base_url: str, client_id: str, client_secret: str, code: str) -> str:
    """
    Return the token for a code; Intercom takes a code once, so this is never repeated.

    Args:
        base_url: of `Hosts.api_of`.
        client_id: the app's.
        client_secret: the app's newest.
        code: as it came, whole.

    Raises:
        NotAuthorizedError: the code was used or is too old, or the secret is wrong. The user starts again.
        TransientError: no answer. The user starts again.
        PermanentError: any other refusal.
    """
    form = {"code": code, "client_id": client_id, "client_secret": client_secret}
    response, duration = send(
        "POST", f"{base_url}/auth/eagle/token", timeout=_TIMEOUT, data=form, headers={"Accept": "application/json"}
    )
    told = replies.read(response, duration).json
    token = told.get("access_token") or told.get("token")
    if not isinstance(token, str) or not token:
        raise TransientError("Intercom's answer holds no token.", replies.RETRY_PAUSE_SECONDS)
    return token


def uninstall(base_url: str, token: str) -> None:
    """
    Remove the app from a token's workspace; every token of the app in it ends. One that ended before is no error.

    Raises:
        TransientError: no answer; it may be repeated.
        PermanentError: Intercom refuses.
    """
    headers = {"Accept": "application/json"}
    response, duration = send(
        "POST", f"{base_url}/auth/uninstall", timeout=_TIMEOUT, auth=BearerAuth(token), headers=headers
    )
    # It answers with or without a body; what counts is that it answers well.
    if response.status_code == HTTPStatus.OK:
        return
    try:
        replies.read(response, duration)
    except NotAuthorizedError:
        return
