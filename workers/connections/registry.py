"""
The connections of users to workspaces, and the clients that call Intercom with their tokens.

A connection ends when its user disconnects, or when Intercom refuses a `GET /me` with its token. A 401 on another call
or an uninstall notice only causes that check. It may be about an older token than the stored one, or about a
permission that the app lacks.
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
from workers.connections.intercom_hosts import hosts
from workers.connections.vault import VaultError
from workers.runtime.process_resources import engine, reader, redis
from workers.runtime.wakeup import wake_sync

log = structlog.get_logger()

# The rate governor's name for the workspace of a token that was not used before.
_UNKNOWN_WORKSPACE = "unknown"

# Number of changes to connections that this process made.
_changes = [0]

# The outcome of a user's disconnect. "revoked": the token was revoked at Intercom. "shared": another user keeps the
# workspace connected, so it was not revoked. "unsure": deleted here, but it is unknown whether Intercom revoked it.
# "nothing": the user had no connection.
DisconnectResult = Literal["revoked", "shared", "unsure", "nothing"]


def change_count() -> int:
    """Return how often this process has changed connections; see `webhooks.api.access_cache`."""
    return _changes[0]


def client_of(workspace_id: str, lane: Lane, user_id: str | None = None) -> IntercomClient | None:
    """
    Return a client for a workspace.

    Args:
        workspace_id: the workspace to call.
        lane: the priority of its calls.
        user_id: the user whose token to use, for calls that need that user's permissions; None for any.

    Returns:
        A client with the newest token that can be decrypted; None if there is none.
    """
    with reader().connect() as connection:
        workspace = connection_rows.find_workspace(connection, workspace_id)
        tokens = connection_rows.active_tokens(connection, workspace_id)
    for encrypted in tokens:
        if user_id not in (None, encrypted.user_id):
            continue
        token = _decrypt(workspace_id, encrypted)
        if token is not None:
            return client_with_token(token, lane, workspace_id, workspace.region if workspace else None)
    return None


def client_with_token(
    token: str, lane: Lane, workspace_id: str | None = None, region: str | None = None
) -> IntercomClient:
    """Return a client with this token. Without workspace and region, use it only to find out the token's workspace."""
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
    """Return the workspaces that have at least one connection."""
    with reader().connect() as connection:
        return connection_rows.connected_workspaces(connection)


def connections_of_user(user_id: str) -> Sequence[Mapping[Any, Any]]:
    """Return a user's connections, the newest first; see `models.queries.connection_rows.connections_of_user`."""
    with reader().connect() as connection:
        return connection_rows.connections_of_user(connection, user_id)


def connect(user_id: str, token: str, me: Me) -> None:
    """
    Store a token in place of an earlier one of the same user and workspace, and unfreeze the workspace.

    The earlier token is not revoked at Intercom, which would remove the app from the whole workspace.

    Raises:
        VaultError: there is no key to encrypt with.
    """
    encrypted = vault.encrypt(me.workspace_id, user_id, token)
    new = NewConnection(user_id, get_settings().client_id, me.admin_id, encrypted, vault.fingerprint(token))
    workspace = WorkspaceRow(me.workspace_id, me.name, me.region, me.timezone)
    with transaction(engine()) as connection:
        connection_rows.save(connection, workspace, new, datetime.now(UTC))
    _changes[0] += 1
    log.info("workspace connected", workspace_id=me.workspace_id, region=me.region)
    wake_sync()


def end_refused_connections(workspace_id: str, reason: str) -> bool:
    """
    Check each token of a workspace, and end the connections whose tokens Intercom refuses.

    Call it on every NotAuthorizedError, with its code, and with "uninstalled" after an uninstall notice. If Intercom is
    unavailable now, the check is stored and repeated later.

    Returns:
        Whether the workspace has no connection left. Then it is frozen: its rows stay.
    """
    with reader().connect() as connection:
        workspace = connection_rows.find_workspace(connection, workspace_id)
        tokens = connection_rows.active_tokens(connection, workspace_id)
    if workspace is None:
        return True
    try:
        refused = [encrypted.fingerprint for encrypted in tokens if _is_refused(encrypted, workspace)]
    except IntercomError as error:
        log.warning("a token could not be checked", workspace_id=workspace_id, error=type(error).__name__)
        _request_check(workspace_id, reason)
        return False
    with transaction(engine()) as connection:
        left = connection_rows.disconnect(connection, workspace_id, refused, reason, datetime.now(UTC))
    _changes[0] += 1
    if refused:
        log.warning("workspace disconnected", workspace_id=workspace_id, reason=reason, ended=len(refused), left=left)
    return left == 0


def disconnect_user(user_id: str, workspace_id: str) -> DisconnectResult:
    """
    End a user's connection. The token of a workspace's last connection is revoked at Intercom.

    The token is revoked before the row is changed: if this process crashes in between, the next call finds that
    Intercom refuses the token, and ends the connection.
    """
    with reader().connect() as connection:
        tokens = connection_rows.active_tokens(connection, workspace_id)
    own = next((encrypted for encrypted in tokens if encrypted.user_id == user_id), None)
    if own is None:
        return "nothing"
    revoked = len(tokens) == 1 and _revoke(workspace_id, own)
    with transaction(engine()) as connection:
        left = connection_rows.disconnect(connection, workspace_id, [own.fingerprint], "user", datetime.now(UTC))
    _changes[0] += 1
    log.info("workspace left by a user", workspace_id=workspace_id, left=left)
    if left:
        return "shared"
    # If the last two users disconnect at the same time, each of them saw the other one above.
    return "revoked" if revoked or _revoke(workspace_id, own) else "unsure"


def _revoke(workspace_id: str, encrypted: EncryptedToken) -> bool:
    token = _decrypt(workspace_id, encrypted)
    if token is None:
        return False
    try:
        oauth.uninstall(hosts().api_base(_region(workspace_id)), token)
    except NotAuthorizedError:
        return True
    except IntercomError as error:
        log.warning("a token could not be revoked", workspace_id=workspace_id, error=type(error).__name__)
        return False
    return True


def _region(workspace_id: str) -> str | None:
    with reader().connect() as connection:
        workspace = connection_rows.find_workspace(connection, workspace_id)
    return workspace.region if workspace else None


def _is_refused(encrypted: EncryptedToken, workspace: WorkspaceRow) -> bool:
    token = _decrypt(workspace.workspace_id, encrypted)
    if token is None:
        return False
    try:
        client_with_token(token, Lane.REFETCH, workspace.workspace_id, workspace.region).me()
    except NotAuthorizedError:
        return True
    return False


def _decrypt(workspace_id: str, encrypted: EncryptedToken) -> str | None:
    try:
        return vault.decrypt(workspace_id, encrypted.user_id, encrypted.token)
    except VaultError as error:
        log.error("a token cannot be decrypted", workspace_id=workspace_id, error=str(error))  # noqa: TRY400 -- no traceback
        return None


def _request_check(workspace_id: str, reason: str) -> None:
    try:
        token_checks.request_check(redis(), workspace_id, reason)
    except RedisError as error:
        # The next call with the refused token requests it again.
        log.warning("a token check could not be stored", workspace_id=workspace_id, error=type(error).__name__)


@cache
def _governor() -> Governor:
    return Governor(redis())
