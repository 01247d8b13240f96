"""The connect page: sign in with a user token, list connections, connect through Intercom's OAuth, disconnect."""

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
from webhooks.connect.page_rendering import ConnectError, ErrorPage, guarded, page, render_error_page
from webhooks.connect.sessions import BrowserSession
from webhooks.serving.responses import error_location
from webhooks.user_tokens import UserTokenError, user_of_token
from workers.runtime.redis_clients import blocking_client

log = structlog.get_logger()

# Bytes of a form; ours have a few hundred.
_MAX_FORM_BYTES = 16_384

connect = Blueprint(
    "connect", __name__, template_folder="templates", static_folder="static", static_url_path="/connect/static"
)


def _redis() -> Redis:
    return blocking_client(get_settings().redis_url)


def _services() -> Any:
    # It loads SQL, which a process that only receives notifications does not need.
    from webhooks.connect import connect_workspace  # noqa: PLC0415

    return connect_workspace


@connect.get("/connect")
def show() -> Response:
    """Exchange a user token for a session, or list the user's connections."""
    if not get_settings().user_keys:
        raise ConnectError(error_pages.NOT_SET_UP)
    if redirection := _redirect_to_public_address():
        return redirection
    token = request.args.get("token")
    if token is not None:
        return _open_session(token)
    session = _require_session()
    return page(
        "connections.html",
        session=session,
        connections=_services().connection_views(session.user_id),
        regions=connection_view.REGIONS,
        redirect_url=get_settings().redirect_url,
        arrived=request.args.get("arrived"),
    )


def _redirect_to_public_address() -> Response | None:
    """In development both 127.0.0.1 and localhost work, but a cookie belongs to only one of them."""
    settings = get_settings()
    if not settings.development or request.host == urlsplit(settings.public_url).netloc:
        return None
    return guarded(_see_other(f"{settings.public_url}{request.full_path.rstrip('?')}"))


def _open_session(token: str) -> Response:
    try:
        user_id = user_of_token(token)
    except UserTokenError as error:
        raise ConnectError(error_pages.bad_token(str(error))) from None
    # Redirect at once, so that the token does not stay in the address bar.
    response = guarded(_see_other(url_for("connect.show")))
    sessions.open_session(_redis(), response, user_id)
    return response


@connect.get("/connect/state")
def state() -> Response:
    """Return the user's connections as JSON; the open page polls it."""
    views = _services().connection_views(_require_session().user_id)
    connections = [{**view._asdict(), "progress": view.progress and view.progress._asdict()} for view in views]
    return guarded(jsonify(connections=connections))


@connect.post("/connect/start")
def start() -> Response:
    """Redirect the browser to Intercom's consent page, with a new OAuth state."""
    session = _require_form_session()
    region = request.form.get("region", "US")
    if region not in connection_view.REGIONS:
        raise ConnectError(error_pages.BAD_FORM)
    return guarded(_see_other(_services().authorize_url(region, oauth_state.create_state(_redis(), session))))


@connect.get("/oauth/callback")
def oauth_callback() -> Response:
    """Handle the return from Intercom: check the state, exchange the code, store the token."""
    session = _require_session(error_pages.NO_SESSION_AT_RETURN)
    rejection = oauth_state.consume_state(_redis(), request.args.get("state", ""), session, time.time())
    if rejection is not None:
        raise ConnectError(error_pages.STATES[rejection])
    if "error" in request.args:
        raise ConnectError(error_pages.DECLINED)
    code = request.args.get("code")
    if not code:
        raise ConnectError(error_pages.NO_CODE)
    workspace_id = _services().connect_workspace(session.user_id, code)
    return guarded(_see_other(url_for("connect.show", arrived=workspace_id)))


@connect.get("/connect/disconnect")
def confirm_disconnect() -> Response:
    """Ask the user to confirm."""
    session = _require_session()
    connection = _open_connection(session, request.args.get("workspace", ""))
    return page("disconnect.html", session=session, connection=connection)


@connect.post("/connect/disconnect")
def disconnect() -> Response:
    """End the connection."""
    session = _require_form_session()
    connection = _open_connection(session, request.form.get("workspace", ""))
    result = _services().disconnect(session.user_id, connection.workspace_id)
    return page("disconnected.html", connection=connection, result=result)


def _open_connection(session: BrowserSession, workspace_id: str) -> Any:
    for view in _services().connection_views(session.user_id):
        if view.workspace_id == workspace_id and view.connected:
            return view
    raise ConnectError(error_pages.UNKNOWN_CONNECTION)


def _require_session(error_page: ErrorPage = error_pages.NO_SESSION) -> BrowserSession:
    session = sessions.session_of(_redis(), request)
    if session is None:
        raise ConnectError(error_page)
    return session


def _require_form_session() -> BrowserSession:
    request.max_content_length = _MAX_FORM_BYTES
    session = _require_session()
    if not sessions.carries_csrf(session, request):
        raise ConnectError(error_pages.BAD_FORM)
    return session


def _see_other(address: str) -> Response:
    # 303, so that the browser does not send a posted form again.
    response = redirect(address, HTTPStatus.SEE_OTHER)
    assert isinstance(response, Response)  # noqa: S101 -- for the type checker: Flask's own is one
    return response


@connect.errorhandler(ConnectError)
def show_error(error: ConnectError) -> Response:
    """Render the error page."""
    return render_error_page(error.error_page)


@connect.errorhandler(RedisError)
def show_redis_error(_error: RedisError) -> Response:
    """Render "unavailable": sessions are in Redis."""
    return render_error_page(error_pages.UNAVAILABLE)


@connect.errorhandler(Exception)
def show_unexpected_error(error: Exception) -> Response:
    """Render "unavailable", whether SQL is unreachable or the code has a bug; the log has the cause."""
    if isinstance(error, HTTPException):
        return guarded(Response(error.get_body(), error.code, mimetype="text/html"))
    log.error("unexpected error while connecting", error=error_location(error))
    return render_error_page(error_pages.UNAVAILABLE)
