"""The error pages of /connect and /oauth: every way in which connecting can fail, in the user's words."""

from http import HTTPStatus

from webhooks.connect.oauth_state import STATE_SECONDS, StateRejection
from webhooks.connect.page_rendering import ErrorPage

_START_AGAIN = "Go back to your connections and press “Connect Intercom” again."
_OPEN_FROM_APPLICATION = "Go back to the application that sent you here, and open this page from there."

NO_SESSION = ErrorPage(
    HTTPStatus.UNAUTHORIZED,
    "no_session",
    "Open this page from your application",
    "You are not signed in: your session has ended, or you started in another browser.",
    _OPEN_FROM_APPLICATION,
    again=False,
)

NO_SESSION_AT_RETURN = NO_SESSION._replace(
    reason="no_session_at_return",
    title="Your session has ended",
    happened="Intercom sent you back, but your session has ended or you started in another browser. "
    "Nothing was connected.",
)

BAD_FORM = ErrorPage(
    HTTPStatus.FORBIDDEN,
    "bad_form",
    "This form is out of date",
    "It belongs to an earlier session, or it was not sent from our page. Nothing was changed.",
    "Go back to your connections and try again.",
)

DECLINED = ErrorPage(
    HTTPStatus.OK,
    "declined",
    "Not connected: access was not allowed",
    "Intercom reports that you did not allow access. Nothing was connected and nothing is read.",
    "If that was a mistake, go back to your connections and press “Connect Intercom”, then “Allow”.",
)

STATES = {
    StateRejection.UNKNOWN: ErrorPage(
        HTTPStatus.BAD_REQUEST,
        "state_unknown",
        "Unknown return from Intercom",
        "The address does not contain the value that we sent to Intercom, so it may not come from your click. "
        "Nothing was connected.",
        _START_AGAIN,
    ),
    StateRejection.USED: ErrorPage(
        HTTPStatus.BAD_REQUEST,
        "state_used",
        "This return from Intercom was already used",
        "Each one can be used once; perhaps the page was reloaded. Nothing was connected twice.",
        "Check your connections: if the workspace is not listed, press “Connect Intercom” again.",
    ),
    StateRejection.EXPIRED: ErrorPage(
        HTTPStatus.BAD_REQUEST,
        "state_expired",
        "That took too long",
        f"You have {STATE_SECONDS // 60} minutes to allow access in Intercom. Nothing was connected.",
        _START_AGAIN,
    ),
    StateRejection.FOREIGN: ErrorPage(
        HTTPStatus.FORBIDDEN,
        "state_foreign",
        "This return from Intercom belongs to another session",
        "Another user or another browser started it. Nothing was connected.",
        _START_AGAIN,
    ),
}

NO_CODE = ErrorPage(
    HTTPStatus.BAD_REQUEST,
    "no_code",
    "Incomplete return from Intercom",
    "The address neither allows nor denies access. Nothing was connected.",
    _START_AGAIN,
)

CODE_REFUSED = ErrorPage(
    HTTPStatus.BAD_REQUEST,
    "code_refused",
    "Intercom did not accept its own code",
    "The code in the address was already used, or is too old. Nothing was connected.",
    f"{_START_AGAIN} If it happens again, contact the operator: the app's client secret may be wrong.",
)

NO_IDENTITY = ErrorPage(
    HTTPStatus.BAD_GATEWAY,
    "no_identity",
    "Intercom did not name the workspace",
    "You allowed access, but Intercom refused to identify the workspace. Nothing was connected.",
    "Contact the operator: the app needs the permission to read one admin. Then connect again.",
)

INTERCOM_AWAY = ErrorPage(
    HTTPStatus.BAD_GATEWAY,
    "intercom_away",
    "Intercom is unavailable",
    "You allowed access, but Intercom did not respond when we asked for it. Nothing was connected.",
    "Wait a minute, then go back to your connections and press “Connect Intercom” again.",
)

UNKNOWN_CONNECTION = ErrorPage(
    HTTPStatus.NOT_FOUND,
    "unknown_connection",
    "You are not connected to this workspace",
    "There is nothing to disconnect.",
    "Check your connections.",
)

UNAVAILABLE = ErrorPage(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "out_of_order",
    "Temporarily unavailable",
    "A part of our service does not respond. Existing connections are not affected.",
    "Wait a minute and try again.",
)

NOT_SET_UP = ErrorPage(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "not_set_up",
    "Connecting is not set up",
    "This mirror only receives notifications. To let users connect, its operator sets USER_TOKEN_PUBLIC_KEY "
    "and TOKEN_ENCRYPTION_KEYS.",
    "Contact the operator; the section “Connect” of the README lists the steps.",
    again=False,
)


def bad_token(message: str) -> ErrorPage:
    """Return the page for a link whose user token is invalid; `message` gives the reason."""
    return ErrorPage(
        HTTPStatus.UNAUTHORIZED,
        "bad_user_token",
        "This link is not valid",
        message,
        _OPEN_FROM_APPLICATION,
        again=False,
    )
