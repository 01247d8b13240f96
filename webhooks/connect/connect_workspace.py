"""What the pages need from SQL and from Intercom; it loads SQL, so it is imported by the first request that uses it."""

from collections.abc import Iterable
from datetime import UTC, datetime

import structlog
from sqlalchemy import Connection, or_, select

from intercom_api.errors import IntercomError, PermanentError, TransientError
from intercom_api.http import oauth
from intercom_api.rate_limit.lanes import Lane
from models.queries import connection_rows
from models.tables.sync_tables import sync_runs
from settings import get_settings
from webhooks.connect import error_pages
from webhooks.connect.connection_view import BackfillState, ConnectionView, describe_connection
from webhooks.connect.page_rendering import ConnectError, ErrorPage
from workers.connections import registry
from workers.connections.intercom_hosts import hosts
from workers.runtime import process_resources

log = structlog.get_logger()


def connection_views(user_id: str) -> list[ConnectionView]:
    """Return a user's connections for the page, the open ones first."""
    now = datetime.now(UTC)
    with process_resources.reader().connect() as connection:
        rows = connection_rows.connections_of_user(connection, user_id)
        backfills = _newest_backfills(connection, [row["workspace_id"] for row in rows], now)
    return [describe_connection(dict(row), backfills.get(row["workspace_id"])) for row in rows]


def _newest_backfills(connection: Connection, workspace_ids: Iterable[str], now: datetime) -> dict[str, BackfillState]:
    """Return the newest backfill of each workspace that has had one: the first, or the one after reconnecting."""
    c = sync_runs.c
    query = (
        select(c.workspace_id, c.state, c.seen, c.expected, c.started_at)
        .where(c.workspace_id.in_(list(workspace_ids)), or_(c.kind == "backfill", c.asked_by == "connect"))
        .order_by(c.id)
    )
    return {
        workspace_id: BackfillState(state, seen, expected, (now - started_at).total_seconds() if started_at else 0.0)
        for workspace_id, state, seen, expected, started_at in connection.execute(query)
    }


def authorize_url(region: str, state: str) -> str:
    """Return the address of Intercom's consent page."""
    settings = get_settings()
    return oauth.authorize_url(hosts().authorize_base(region), settings.client_id, settings.redirect_url, state)


def connect_workspace(user_id: str, code: str) -> str:
    """
    Exchange an OAuth code for a token and store the connection.

    Returns:
        The workspace's id.

    Raises:
        ConnectError: Intercom is unavailable, or does not accept the code.
    """
    settings = get_settings()
    try:
        # The host that serves every region: the workspace's own region is only known once the token is used.
        token = oauth.exchange_code(hosts().api_base(None), settings.client_id, settings.client_secrets[0], code)
    except PermanentError as error:
        raise _connect_error(error_pages.CODE_REFUSED, error) from error
    except TransientError as error:
        raise _connect_error(error_pages.INTERCOM_AWAY, error) from error
    try:
        me = registry.client_with_token(token, Lane.INTERACTIVE).me()
    except TransientError as error:
        raise _connect_error(error_pages.INTERCOM_AWAY, error) from error
    except IntercomError as error:
        raise _connect_error(error_pages.NO_IDENTITY, error) from error
    registry.connect(user_id, token, me)
    return me.workspace_id


def disconnect(user_id: str, workspace_id: str) -> str:
    """End a user's connection; returns the outcome, see `workers.connections.registry.DisconnectResult`."""
    return registry.disconnect_user(user_id, workspace_id)


def _connect_error(error_page: ErrorPage, error: IntercomError) -> ConnectError:
    # The texts of these errors contain only Intercom's codes.
    log.warning("Intercom did not give access", reason=error_page.reason, error=str(error))
    return ConnectError(error_page)
