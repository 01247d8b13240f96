"""
OAuth with Intercom: the address at which a user authorizes the app, the code exchange, and uninstalling.

Source:
    Intercom, "Setting up OAuth", "Installing and uninstalling apps".
"""

from http import HTTPStatus
from urllib.parse import urlencode

from intercom_api.errors import NotAuthorizedError, TransientError
from intercom_api.http import replies
from intercom_api.http.transport import CONNECT_SECONDS, BearerAuth, send

# Seconds to connect and to read; a user waits in front of a blank page meanwhile.
_TIMEOUT = (CONNECT_SECONDS, 10.0)


def authorize_url(authorize_base: str, client_id: str, redirect_url: str, state: str) -> str:
    """
    Return the address of the page on which a user authorizes the app.

    Args:
        authorize_base: of `Hosts.authorize_base`.
        client_id: the app's.
        redirect_url: where Intercom redirects the browser; one of those listed in the Developer Hub.
        state: returned with the redirect; the caller must check it.
    """
    query = {"client_id": client_id, "state": state, "redirect_uri": redirect_url}
    return f"{authorize_base}?{urlencode(query)}"


def exchange_code(base_url: str, client_id: str, client_secret: str, code: str) -> str:
    """
    Exchange an authorization code for an access token, once: Intercom accepts a code once, so there are no retries.

    Args:
        base_url: of `Hosts.api_base`.
        client_id: the app's.
        client_secret: the app's newest.
        code: unchanged, as the redirect carried it.

    Raises:
        NotAuthorizedError: the code was used or is too old, or the secret is wrong. The user starts again.
        TransientError: no response. The user starts again.
        PermanentError: any other refusal.
    """
    form = {"code": code, "client_id": client_id, "client_secret": client_secret}
    response, duration = send(
        "POST", f"{base_url}/auth/eagle/token", timeout=_TIMEOUT, data=form, headers={"Accept": "application/json"}
    )
    body = replies.parse(response, duration).json
    token = body.get("access_token") or body.get("token")
    if not isinstance(token, str) or not token:
        raise TransientError("Intercom's response contains no token.", replies.RETRY_PAUSE_SECONDS)
    return token


def uninstall(base_url: str, token: str) -> None:
    """
    Remove the app from a token's workspace, which revokes all its tokens there; no error if they are revoked already.

    Raises:
        TransientError: no response; the call may be repeated.
        PermanentError: Intercom refuses.
    """
    headers = {"Accept": "application/json"}
    response, duration = send(
        "POST", f"{base_url}/auth/uninstall", timeout=_TIMEOUT, auth=BearerAuth(token), headers=headers
    )
    # Intercom sends a body or none; only the status counts.
    if response.status_code == HTTPStatus.OK:
        return
    try:
        replies.parse(response, duration)
    except NotAuthorizedError:
        return
