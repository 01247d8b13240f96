"""Connections of users to workspaces, and the workspaces: the rows, without any call to Intercom."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, RowMapping, Table, func, select, update
from sqlalchemy.dialects import postgresql, sqlite

from models.tables.internal_tables import connections, workspaces

CONNECTED = "connected"
DISCONNECTED = "disconnected"


class WorkspaceRow(NamedTuple):
    """A workspace as of its last new connection; `frozen_at` is when its last connection ended."""

    workspace_id: str
    name: str | None
    region: str | None
    timezone: str | None
    frozen_at: datetime | None = None


class NewConnection(NamedTuple):
    """A connection to store; `token` is encrypted, `fingerprint` is the SHA-256 of the plain token."""

    user_id: str
    app: str
    admin_id: str | None
    token: bytes
    fingerprint: str


class EncryptedToken(NamedTuple):
    """A user's encrypted token, with the SHA-256 of the plain token."""

    user_id: str
    token: bytes
    fingerprint: str


def save(connection: Connection, workspace: WorkspaceRow, new: NewConnection, now: datetime) -> None:
    """Store a connection, replacing an earlier one of the same user, and unfreeze the workspace."""
    _lock(connection, workspace.workspace_id)
    connection.execute(
        update(workspaces)
        .where(workspaces.c.workspace_id == workspace.workspace_id)
        .values(**workspace._asdict() | {"frozen_at": None, "frozen_because": None})
    )
    values = {
        "workspace_id": workspace.workspace_id,
        "status": CONNECTED,
        "connected_at": now,
        "disconnected_at": None,
        "reason": None,
        **new._asdict(),
    }
    _insert(connection, connections, values, overwrite=True)


def disconnect(
    connection: Connection, workspace_id: str, fingerprints: Sequence[str], reason: str, now: datetime
) -> int:
    """
    End the connections that have one of these tokens; a newer token of the same user stays connected.

    Returns:
        The number of connections that the workspace still has. Without any, it is frozen.
    """
    _lock(connection, workspace_id)
    c = connections.c
    ended_count = connection.execute(
        update(connections)
        .where(c.workspace_id == workspace_id, c.fingerprint.in_(fingerprints), c.status == CONNECTED)
        .values(status=DISCONNECTED, token=None, disconnected_at=now, reason=reason)
    ).rowcount
    connected_count: int = connection.execute(
        select(func.count()).select_from(connections).where(c.workspace_id == workspace_id, c.status == CONNECTED)
    ).scalar_one()
    if ended_count and not connected_count:
        connection.execute(
            update(workspaces)
            .where(workspaces.c.workspace_id == workspace_id)
            .values(frozen_at=now, frozen_because=reason)
        )
    return connected_count


def active_tokens(connection: Connection, workspace_id: str) -> list[EncryptedToken]:
    """Return the tokens of a workspace's connections, the newest first."""
    c = connections.c
    query = (
        select(c.user_id, c.token, c.fingerprint)
        .where(c.workspace_id == workspace_id, c.status == CONNECTED, c.token.is_not(None))
        .order_by(c.connected_at.desc(), c.user_id)
    )
    return [EncryptedToken(*row) for row in connection.execute(query)]


def find_workspace(connection: Connection, workspace_id: str) -> WorkspaceRow | None:
    """Return a workspace; None if it was never connected."""
    row = connection.execute(_WORKSPACES.where(workspaces.c.workspace_id == workspace_id)).one_or_none()
    return None if row is None else WorkspaceRow(*row)


def connected_workspaces(connection: Connection) -> list[WorkspaceRow]:
    """Return the workspaces that have a connection."""
    c = connections.c
    ids = select(c.workspace_id).where(c.status == CONNECTED, c.token.is_not(None))
    query = _WORKSPACES.where(workspaces.c.workspace_id.in_(ids)).order_by(workspaces.c.workspace_id)
    return [WorkspaceRow(*row) for row in connection.execute(query)]


def all_workspaces(connection: Connection) -> list[WorkspaceRow]:
    """Return every workspace that was ever connected."""
    return [WorkspaceRow(*row) for row in connection.execute(_WORKSPACES.order_by(workspaces.c.workspace_id))]


def connections_of_user(connection: Connection, user_id: str) -> Sequence[RowMapping]:
    """Return a user's connections with the names and states of their workspaces, the newest first, without tokens."""
    c, w = connections.c, workspaces.c
    query = (
        select(c.workspace_id, c.status, c.connected_at, c.disconnected_at, c.reason, w.name, w.region, w.frozen_at)
        .join_from(connections, workspaces, w.workspace_id == c.workspace_id)
        .where(c.user_id == user_id)
        .order_by(c.status, c.connected_at.desc())
    )
    return connection.execute(query).mappings().all()


_WORKSPACES = select(
    workspaces.c.workspace_id, workspaces.c.name, workspaces.c.region, workspaces.c.timezone, workspaces.c.frozen_at
)


def _lock(connection: Connection, workspace_id: str) -> None:
    """Lock a workspace's row until the commit, so that connecting and disconnecting do not overlap."""
    _insert(connection, workspaces, {"workspace_id": workspace_id}, overwrite=False)
    w = workspaces.c.workspace_id
    connection.execute(select(w).where(w == workspace_id).with_for_update()).one()


def _insert(connection: Connection, table: Table, values: dict[str, Any], *, overwrite: bool) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = dialect.insert(table).values(**values)
    if overwrite:
        statement = statement.on_conflict_do_update(index_elements=list(table.primary_key.columns), set_=values)
    else:
        statement = statement.on_conflict_do_nothing()
    connection.execute(statement)
