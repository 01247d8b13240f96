"""What the pages need from SQL and from Intercom; imported by the first request that does."""

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
from webhooks.connect import connection_view as shown
from webhooks.connect import error_pages
from webhooks.connect.pages import Trouble, TroubleError
from workers.connections import registry
from workers.connections.hosts import hosts
from workers.runtime import process

log = structlog.get_logger()


def cards(user_id: str) -> list[shown.Card]:
    """Return a user's connections as they are shown, those that hold first."""
    now = datetime.now(UTC)
    with process.reader().connect() as connection:
        found = connection_rows.connections_of_user(connection, user_id)
        fills = _fills(connection, [row["workspace_id"] for row in found], now)
    return [shown.card(dict(row), fills.get(row["workspace_id"])) for row in found]


def _fills(connection: Connection, workspace_ids: Iterable[str], now: datetime) -> dict[str, shown.Fill]:
    """Return the newest fill of each workspace that ever had one: its first, or the one after connecting again."""
    c = sync_runs.c
    query = (
        select(c.workspace_id, c.state, c.seen, c.expected, c.started_at)
        .where(c.workspace_id.in_(list(workspace_ids)), or_(c.kind == "backfill", c.asked_by == "connect"))
        .order_by(c.id)
    )
    return {
        workspace_id: shown.Fill(state, seen, expected, (now - started_at).total_seconds() if started_at else 0.0)
        for workspace_id, state, seen, expected, started_at in connection.execute(query)
    }


def authorize_url(region: str, state: str) -> str:
    """Return the page of Intercom on which the user allows us."""
    settings = get_settings()
    return oauth.authorize_url(hosts().authorize_base(region), settings.client_id, settings.redirect_url, state)


def finish(user_id: str, code: str) -> str:
    """
    Exchange a code for a token and keep it; returns the workspace's id.

    Raises:
        TroubleError: Intercom is away, or does not accept the code.
    """
    settings = get_settings()
    try:
        # The address that serves every region: which one it is, only the token's answer tells.
        token = oauth.exchange_code(hosts().api_base(None), settings.client_id, settings.client_secrets[0], code)
    except PermanentError as error:
        raise _stopped(error_pages.CODE_REFUSED, error) from error
    except TransientError as error:
        raise _stopped(error_pages.INTERCOM_AWAY, error) from error
    try:
        me = registry.client_with_token(token, Lane.INTERACTIVE).me()
    except TransientError as error:
        raise _stopped(error_pages.INTERCOM_AWAY, error) from error
    except IntercomError as error:
        raise _stopped(error_pages.NO_IDENTITY, error) from error
    registry.connect(user_id, token, me)
    return me.workspace_id


def disconnect(user_id: str, workspace_id: str) -> str:
    """End a user's connection; returns the outcome, see `workers.connections.registry.DisconnectResult`."""
    return registry.disconnect_user(user_id, workspace_id)


def _stopped(trouble: Trouble, error: IntercomError) -> TroubleError:
    # These errors' own words hold nothing but Intercom's codes.
    log.warning("Intercom did not give access", reason=trouble.reason, error=str(error))
    return TroubleError(trouble)
