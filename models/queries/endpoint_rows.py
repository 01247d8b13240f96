"""Endpoints of outgoing webhooks: what each receives, its secret, and its recent failures."""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, delete, func, insert, select, update

from models.tables.delivery_tables import deliveries, endpoints

ENABLED, DISABLED = "enabled", "disabled"

c = endpoints.c


class EndpointRow(NamedTuple):
    """A row; see `models.tables.delivery_tables`. Secrets are encrypted."""

    id: str
    user_id: str | None
    url: str
    secret: bytes
    old_secret: bytes | None
    old_until: datetime | None
    types: list[str]
    ops: list[str]
    sources: list[str]
    status: str
    reason: str | None
    seq: int
    failures: int
    failing_since: datetime | None
    rest_until: datetime | None
    created_at: datetime


def save(connection: Connection, endpoint: EndpointRow) -> None:
    """Insert an endpoint."""
    connection.execute(insert(endpoints).values(endpoint._asdict()))


def list_all(connection: Connection, user_id: str | None = None) -> list[EndpointRow]:
    """Return the endpoints of a user, the oldest first; with None those of all users and the operator."""
    query = select(*(c[name] for name in EndpointRow._fields)).order_by(c.created_at, c.id)
    if user_id is not None:
        query = query.where(c.user_id == user_id)
    return [EndpointRow(*row) for row in connection.execute(query)]


def list_enabled(connection: Connection) -> list[EndpointRow]:
    """Return the enabled endpoints."""
    return [each for each in list_all(connection) if each.status == ENABLED]


def find(connection: Connection, endpoint_id: str, *, lock: bool = False) -> EndpointRow | None:
    """Return an endpoint; with `lock`, no other process changes it or claims its deliveries until the commit."""
    query = select(*(c[name] for name in EndpointRow._fields)).where(c.id == endpoint_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else EndpointRow(*row)


def update_columns(connection: Connection, endpoint_id: str, **values: Any) -> bool:
    """Overwrite columns; return False if the endpoint does not exist."""
    return connection.execute(update(endpoints).where(c.id == endpoint_id).values(**values)).rowcount == 1


def enable(connection: Connection, endpoint_id: str, now: datetime) -> bool:
    """Enable an endpoint; its waiting deliveries become due now and have their full time again."""
    values = {"status": ENABLED, "reason": None, "failures": 0, "failing_since": None, "rest_until": None}
    exists = update_columns(connection, endpoint_id, **values)
    waiting = (deliveries.c.endpoint_id == endpoint_id) & (deliveries.c.state == "waiting")
    connection.execute(update(deliveries).where(waiting).values(due_at=now, first_tried_at=None, attempts=0))
    return exists


def delete_endpoint(connection: Connection, endpoint_id: str) -> bool:
    """Delete an endpoint and its deliveries."""
    connection.execute(delete(deliveries).where(deliveries.c.endpoint_id == endpoint_id))
    return connection.execute(delete(endpoints).where(c.id == endpoint_id)).rowcount == 1


def count(connection: Connection, user_id: str | None) -> int:
    """Return the number of a user's endpoints, or with None of the operator's."""
    owned = c.user_id.is_(None) if user_id is None else c.user_id == user_id
    return connection.execute(select(func.count()).select_from(endpoints).where(owned)).scalar_one()
