"""
Connections: which workspaces we may ask Intercom about, on whose behalf, and until when.

A token ends when its user disconnects, or when Intercom itself says so to a `GET /me` with it. What another call or an
uninstall notice says is only a doubt that makes us ask: it may be about an older token than the one we hold by now, or
about a permission that the app lacks.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from typing import Any, Literal

import structlog
from redis.exceptions import RedisError

from intercom_api.errors import IntercomError, NotAuthorizedError
from intercom_api.http import oauth
from intercom_api.http.client import IntercomClient, Me
from intercom_api.rate_limit.governor import Governor
from intercom_api.rate_limit.lanes import Lane
from models.db.engine import transaction
from models.queries import connection_rows
from models.queries.connection_rows import EncryptedToken, NewConnection, WorkspaceRow
from settings import get_settings
from workers.connections import token_checks, vault
from workers.connections.hosts import hosts
from workers.connections.vault import VaultError
from workers.runtime.process import engine, reader, redis
from workers.runtime.wakeup import wake_sync

log = structlog.get_logger()

# The governor's name for the workspace of a token that we know nothing of yet.
_UNKNOWN_WORKSPACE = "unknown"

# Counted up with each change of the rows, by the one who made it.
_changes = [0]

# What became of a wish to disconnect: given back to Intercom; kept there for another user of the workspace; deleted
# here, while Intercom could not be told; or there was nothing to end.
DisconnectResult = Literal["revoked", "shared", "unsure", "nothing"]


def change_count() -> int:
    """Return how often this process has changed who is connected; see `webhooks.api.access_cache`."""
    return _changes[0]


def client_of(workspace_id: str, lane: Lane, user_id: str | None = None) -> IntercomClient | None:
    """
    Return a client with the newest token of a workspace that can be opened; None if nobody is connected.

    With `user_id` it is that user's own token, or None: what is done on somebody's behalf is done with their rights.
    """
    with reader().connect() as connection:
        found = connection_rows.find_workspace(connection, workspace_id)
        tokens = connection_rows.active_tokens(connection, workspace_id)
    for sealed in tokens:
        if user_id not in (None, sealed.user_id):
            continue
        token = _opened(workspace_id, sealed)
        if token is not None:
            return client_with_token(token, lane, workspace_id, found.region if found else None)
    return None


def client_with_token(
    token: str, lane: Lane, workspace_id: str | None = None, region: str | None = None
) -> IntercomClient:
    """Return a client with this token; without a workspace and region, for asking whose it is."""
    settings = get_settings()
    return IntercomClient(
        token,
        hosts().api_base(region),
        version=settings.api_version,
        governor=_governor(),
        app=settings.client_id,
        workspace_id=workspace_id or _UNKNOWN_WORKSPACE,
        lane=lane,
    )


def connected_workspaces() -> list[WorkspaceRow]:
    """Return the workspaces that somebody is connected to."""
    with reader().connect() as connection:
        return connection_rows.connected_workspaces(connection)


def connections_of_user(user_id: str) -> Sequence[Mapping[Any, Any]]:
    """Return a user's connections, the newest first; see `models.queries.connection_rows.connections_of_user`."""
    with reader().connect() as connection:
        return connection_rows.connections_of_user(connection, user_id)


def connect(user_id: str, token: str, me: Me) -> None:
    """
    Keep a token, in place of an earlier one of the same user and workspace, and thaw the workspace.

    The earlier token is not given back: Intercom would remove the app from the whole workspace.

    Raises:
        VaultError: there is no key to encrypt with.
    """
    sealed = vault.seal(me.workspace_id, user_id, token)
    new = NewConnection(user_id, get_settings().client_id, me.admin_id, sealed, vault.fingerprint(token))
    workspace = WorkspaceRow(me.workspace_id, me.name, me.region, me.timezone)
    with transaction(engine()) as connection:
        connection_rows.save(connection, workspace, new, datetime.now(UTC))
    _changes[0] += 1
    log.info("workspace connected", workspace_id=me.workspace_id, region=me.region)
    wake_sync()


def end_refused_connections(workspace_id: str, reason: str) -> bool:
    """
    Look at each token of a workspace, and end those that Intercom refuses.

    Call it on every NotAuthorizedError, with its code; and with "uninstalled" when Intercom says so. If Intercom does
    not answer now, the question stays open and is asked again.

    Returns:
        Whether nobody is connected any more; the rows stay and the workspace is marked frozen.
    """
    with reader().connect() as connection:
        found = connection_rows.find_workspace(connection, workspace_id)
        tokens = connection_rows.active_tokens(connection, workspace_id)
    if found is None:
        return True
    try:
        dead = [sealed.fingerprint for sealed in tokens if _is_dead(sealed, found)]
    except IntercomError as error:
        log.warning("a token could not be looked at", workspace_id=workspace_id, error=type(error).__name__)
        _doubt(workspace_id, reason)
        return False
    with transaction(engine()) as connection:
        left = connection_rows.disconnect(connection, workspace_id, dead, reason, datetime.now(UTC))
    _changes[0] += 1
    if dead:
        log.warning("workspace disconnected", workspace_id=workspace_id, reason=reason, ended=len(dead), left=left)
    return left == 0


def disconnect_user(user_id: str, workspace_id: str) -> DisconnectResult:
    """
    End a user's connection as they wish; the last one of a workspace is given back to Intercom.

    Intercom is told first: if this process dies in between, the next call finds the token dead and ends the connection.
    """
    with reader().connect() as connection:
        tokens = connection_rows.active_tokens(connection, workspace_id)
    mine = [sealed for sealed in tokens if sealed.user_id == user_id]
    if not mine:
        return "nothing"
    told = len(tokens) == 1 and _give_back(workspace_id, mine[0])
    with transaction(engine()) as connection:
        left = connection_rows.disconnect(connection, workspace_id, [mine[0].fingerprint], "user", datetime.now(UTC))
    _changes[0] += 1
    log.info("workspace left by a user", workspace_id=workspace_id, left=left)
    if left:
        return "shared"
    # Two last users who leave at the same time each see the other one.
    return "revoked" if told or _give_back(workspace_id, mine[0]) else "unsure"


def _give_back(workspace_id: str, sealed: EncryptedToken) -> bool:
    token = _opened(workspace_id, sealed)
    if token is None:
        return False
    try:
        oauth.uninstall(hosts().api_base(_region(workspace_id)), token)
    except NotAuthorizedError:
        return True
    except IntercomError as error:
        log.warning("a token could not be given back", workspace_id=workspace_id, error=type(error).__name__)
        return False
    return True


def _region(workspace_id: str) -> str | None:
    with reader().connect() as connection:
        found = connection_rows.find_workspace(connection, workspace_id)
    return found.region if found else None


def _is_dead(sealed: EncryptedToken, workspace: WorkspaceRow) -> bool:
    token = _opened(workspace.workspace_id, sealed)
    if token is None:
        return False
    try:
        client_with_token(token, Lane.REFETCH, workspace.workspace_id, workspace.region).me()
    except NotAuthorizedError:
        return True
    return False


def _opened(workspace_id: str, sealed: EncryptedToken) -> str | None:
    try:
        return vault.unseal(workspace_id, sealed.user_id, sealed.token)
    except VaultError as error:
        log.error("a token cannot be used", workspace_id=workspace_id, error=str(error))  # noqa: TRY400 -- no traceback
        return None


def _doubt(workspace_id: str, reason: str) -> None:
    try:
        token_checks.request_check(redis(), workspace_id, reason)
    except RedisError as error:
        # The next call with the dead token raises it again.
        log.warning("a doubt could not be kept", workspace_id=workspace_id, error=type(error).__name__)


@cache
def _governor() -> Governor:
    return Governor(redis())
