"""Everything that can go wrong while a user connects, in their words."""

from http import HTTPStatus

from webhooks.connect.oauth_state import STATE_SECONDS, Problem
from webhooks.connect.pages import Trouble

_FROM_THE_START = "Go back to your connections and press “Connect Intercom” once more."
_FROM_THE_APPLICATION = "Go back to the application that sent you here, and open this page from there."

NO_SESSION = Trouble(
    HTTPStatus.UNAUTHORIZED,
    "no_session",
    "Open this page from your application",
    "We do not know who you are: your visit has ended, or this is another browser than the one you began in.",
    _FROM_THE_APPLICATION,
    again=False,
)

NO_SESSION_AT_RETURN = NO_SESSION._replace(
    reason="no_session_at_return",
    title="Your visit ended meanwhile",
    happened="Intercom sent you back, but we do not know who began: it took too long, or this is another browser. "
    "Nothing was connected.",
)

BAD_FORM = Trouble(
    HTTPStatus.FORBIDDEN,
    "bad_form",
    "This form is out of date",
    "It was opened in another visit, or it was not sent from our page. Nothing was changed.",
    "Go back to your connections and try once more.",
)

DECLINED = Trouble(
    HTTPStatus.OK,
    "declined",
    "Not connected: you did not allow it",
    "Intercom told us that access was not given. Nothing was connected and nothing is read.",
    "If that was a mistake, go back to your connections and press “Connect Intercom”, then “Allow”.",
)

STATES = {
    Problem.UNKNOWN: Trouble(
        HTTPStatus.BAD_REQUEST,
        "state_unknown",
        "We do not recognise this return from Intercom",
        "Its address does not carry what we gave to Intercom, so it may not come from your click. "
        "Nothing was connected.",
        _FROM_THE_START,
    ),
    Problem.USED: Trouble(
        HTTPStatus.BAD_REQUEST,
        "state_used",
        "This return from Intercom was used already",
        "Each one is good for one time; perhaps the page was reloaded. Nothing was connected twice.",
        "Look at your connections: if the workspace is not there, press “Connect Intercom” once more.",
    ),
    Problem.EXPIRED: Trouble(
        HTTPStatus.BAD_REQUEST,
        "state_expired",
        "That took too long",
        f"Between your click and Intercom's answer there may be {STATE_SECONDS // 60} minutes. Nothing was connected.",
        _FROM_THE_START,
    ),
    Problem.FOREIGN: Trouble(
        HTTPStatus.FORBIDDEN,
        "state_foreign",
        "This return from Intercom belongs to somebody else",
        "Another user or another browser began it, so we did not go on. Nothing was connected.",
        _FROM_THE_START,
    ),
}

NO_CODE = Trouble(
    HTTPStatus.BAD_REQUEST,
    "no_code",
    "Intercom's answer is incomplete",
    "It neither allows nor refuses access. Nothing was connected.",
    _FROM_THE_START,
)

CODE_REFUSED = Trouble(
    HTTPStatus.BAD_REQUEST,
    "code_refused",
    "Intercom did not accept its own code",
    "The code that it gave your browser was used before, or is too old. Nothing was connected.",
    f"{_FROM_THE_START} If it happens again, tell the operator: the app's client secret may be wrong.",
)

NO_IDENTITY = Trouble(
    HTTPStatus.BAD_GATEWAY,
    "no_identity",
    "Intercom does not say whose workspace this is",
    "You allowed access, but Intercom refused to name the workspace. Nothing was connected.",
    "Tell the operator: the app needs the permission to read one admin. Then connect again.",
)

INTERCOM_AWAY = Trouble(
    HTTPStatus.BAD_GATEWAY,
    "intercom_away",
    "Intercom does not answer",
    "You allowed access, but Intercom did not give it to us. Nothing was connected.",
    "Wait a minute, then go back to your connections and press “Connect Intercom” once more.",
)

UNKNOWN_CONNECTION = Trouble(
    HTTPStatus.NOT_FOUND,
    "unknown_connection",
    "You are not connected to this workspace",
    "There is nothing to disconnect.",
    "Look at your connections.",
)

OUT_OF_ORDER = Trouble(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "out_of_order",
    "We cannot do this just now",
    "A part of our own service does not answer. What was connected stays connected.",
    "Wait a minute and try again.",
)

NOT_SET_UP = Trouble(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "not_set_up",
    "Connecting is not set up here",
    "This mirror takes notifications only. To let users connect, its operator sets USER_TOKEN_PUBLIC_KEY "
    "and TOKEN_ENCRYPTION_KEYS.",
    "Tell whoever runs it; the README's section “Connect” has the steps.",
    again=False,
)


def bad_token(sentence: str) -> Trouble:
    """Return what is wrong with the user token in the link."""
    return Trouble(
        HTTPStatus.UNAUTHORIZED,
        "bad_user_token",
        "This link does not let you in",
        sentence,
        _FROM_THE_APPLICATION,
        again=False,
    )
