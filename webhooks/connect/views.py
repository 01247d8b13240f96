"""The pages of connecting: who you are, what is connected, away to Intercom and back."""

import time
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit

import structlog
from flask import Blueprint, Response, jsonify, redirect, request, url_for
from redis import Redis
from redis.exceptions import RedisError
from werkzeug.exceptions import HTTPException

from settings import get_settings
from webhooks.connect import connection_view, error_pages, oauth_state, sessions
from webhooks.connect.pages import Trouble, TroubleError, guarded, page, trouble_page
from webhooks.connect.sessions import Session
from webhooks.serving.responses import place_of
from webhooks.user_tokens import UserTokenError, user_of_token
from workers.runtime.redis_clients import blocking_client

log = structlog.get_logger()

# Bytes of a form; ours have a few hundred.
_LONGEST_FORM = 16_384

connect = Blueprint(
    "connect", __name__, template_folder="templates", static_folder="static", static_url_path="/connect/static"
)


def _redis() -> Redis:
    return blocking_client(get_settings().redis_url)


def _desk() -> Any:
    # It loads SQL, which a process that only receives does without.
    from webhooks.connect import services  # noqa: PLC0415

    return services


@connect.get("/connect")
def show() -> Response:
    """Exchange a user token for a session, or show the user's connections."""
    if not get_settings().user_keys:
        raise TroubleError(error_pages.NOT_SET_UP)
    if moved := _to_public_address():
        return moved
    token = request.args.get("token")
    if token is not None:
        return _begin_session(token)
    session = _session()
    return page(
        "connections.html",
        session=session,
        cards=_desk().cards(session.user_id),
        regions=connection_view.REGIONS,
        redirect_url=get_settings().redirect_url,
        arrived=request.args.get("arrived"),
    )


def _to_public_address() -> Response | None:
    """In development 127.0.0.1 and localhost both work, but a cookie belongs to one of them."""
    settings = get_settings()
    if not settings.development or request.host == urlsplit(settings.public_url).netloc:
        return None
    return guarded(_to(f"{settings.public_url}{request.full_path.rstrip('?')}"))


def _begin_session(token: str) -> Response:
    try:
        user_id = user_of_token(token)
    except UserTokenError as error:
        raise TroubleError(error_pages.bad_token(str(error))) from None
    # Away from the address that holds the token at once.
    response = guarded(_to(url_for("connect.show")))
    sessions.open_session(_redis(), response, user_id)
    return response


@connect.get("/connect/state")
def state() -> Response:
    """Tell the page how the connections are doing, so that it need not be loaded anew."""
    shown = _desk().cards(_session().user_id)
    told = [{**card._asdict(), "progress": card.progress and card.progress._asdict()} for card in shown]
    return guarded(jsonify(connections=told))


@connect.post("/connect/start")
def start() -> Response:
    """Send the browser to Intercom, with a state that brings it back."""
    session = _session_of_form()
    region = request.form.get("region", "US")
    if region not in connection_view.REGIONS:
        raise TroubleError(error_pages.BAD_FORM)
    return guarded(_to(_desk().authorize_url(region, oauth_state.mint(_redis(), session))))


@connect.get("/oauth/callback")
def come_back() -> Response:
    """Take the browser back from Intercom: check who began, exchange the code, keep the token."""
    session = _session(error_pages.NO_SESSION_AT_RETURN)
    problem = oauth_state.spend(_redis(), request.args.get("state", ""), session, time.time())
    if problem is not None:
        raise TroubleError(error_pages.STATES[problem])
    if "error" in request.args:
        raise TroubleError(error_pages.DECLINED)
    code = request.args.get("code")
    if not code:
        raise TroubleError(error_pages.NO_CODE)
    workspace_id = _desk().finish(session.user_id, code)
    return guarded(_to(url_for("connect.show", arrived=workspace_id)))


@connect.get("/connect/disconnect")
def ask() -> Response:
    """Ask once whether a workspace is to be disconnected."""
    session = _session()
    return page("disconnect.html", session=session, card=_connected(session, request.args.get("workspace", "")))


@connect.post("/connect/disconnect")
def disconnect() -> Response:
    """Disconnect it."""
    session = _session_of_form()
    card = _connected(session, request.form.get("workspace", ""))
    told = _desk().disconnect(session.user_id, card.workspace_id)
    return page("disconnected.html", card=card, told=told)


def _connected(session: Session, workspace_id: str) -> Any:
    found = [card for card in _desk().cards(session.user_id) if card.workspace_id == workspace_id and card.connected]
    if not found:
        raise TroubleError(error_pages.UNKNOWN_CONNECTION)
    return found[0]


def _session(otherwise: Trouble = error_pages.NO_SESSION) -> Session:
    session = sessions.session_of(_redis(), request)
    if session is None:
        raise TroubleError(otherwise)
    return session


def _session_of_form() -> Session:
    request.max_content_length = _LONGEST_FORM
    session = _session()
    if not sessions.carries_csrf(session, request):
        raise TroubleError(error_pages.BAD_FORM)
    return session


def _to(address: str) -> Response:
    # See Other: a form that was posted is not posted again.
    response = redirect(address, HTTPStatus.SEE_OTHER)
    assert isinstance(response, Response)  # noqa: S101 -- for the type checker: Flask's own is one
    return response


@connect.errorhandler(TroubleError)
def show_trouble(error: TroubleError) -> Response:
    """Show the page of a trouble."""
    return trouble_page(error.trouble)


@connect.errorhandler(RedisError)
def show_redis_trouble(_error: RedisError) -> Response:
    """Say that we are out of order: without Redis there are no sessions."""
    return trouble_page(error_pages.OUT_OF_ORDER)


@connect.errorhandler(Exception)
def show_mistake(error: Exception) -> Response:
    """Say that we are out of order, whether SQL is away or the mistake is ours; the log says which."""
    if isinstance(error, HTTPException):
        return guarded(Response(error.get_body(), error.code, mimetype="text/html"))
    log.error("mistake while connecting", error=place_of(error))
    return trouble_page(error_pages.OUT_OF_ORDER)
