"""The rows of endpoints: who is told what, with which secret, and how it went lately."""

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
    """Add one."""
    connection.execute(insert(endpoints).values(endpoint._asdict()))


def list_all(connection: Connection, user_id: str | None = None) -> list[EndpointRow]:
    """Return those of a user, the oldest first; None: all there are."""
    query = select(*(c[name] for name in EndpointRow._fields)).order_by(c.created_at, c.id)
    if user_id is not None:
        query = query.where(c.user_id == user_id)
    return [EndpointRow(*row) for row in connection.execute(query)]


def list_enabled(connection: Connection) -> list[EndpointRow]:
    """Return those that are to be told."""
    return [each for each in list_all(connection) if each.status == ENABLED]


def find(connection: Connection, endpoint_id: str, *, lock: bool = False) -> EndpointRow | None:
    """Return one; with `lock` nobody else changes it or claims its deliveries until the commit."""
    query = select(*(c[name] for name in EndpointRow._fields)).where(c.id == endpoint_id)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else EndpointRow(*row)


def update_columns(connection: Connection, endpoint_id: str, **values: Any) -> bool:
    """Overwrite some columns; False if there is no such endpoint."""
    return connection.execute(update(endpoints).where(c.id == endpoint_id).values(**values)).rowcount == 1


def enable(connection: Connection, endpoint_id: str, now: datetime) -> bool:
    """Begin anew with one: what waits for it is tried now, and has its whole time again."""
    values = {"status": ENABLED, "reason": None, "failures": 0, "failing_since": None, "rest_until": None}
    found = update_columns(connection, endpoint_id, **values)
    waiting = (deliveries.c.endpoint_id == endpoint_id) & (deliveries.c.state == "waiting")
    connection.execute(update(deliveries).where(waiting).values(due_at=now, first_tried_at=None, attempts=0))
    return found


def delete_endpoint(connection: Connection, endpoint_id: str) -> bool:
    """Delete one with its deliveries."""
    connection.execute(delete(deliveries).where(deliveries.c.endpoint_id == endpoint_id))
    return connection.execute(delete(endpoints).where(c.id == endpoint_id)).rowcount == 1


def count(connection: Connection, user_id: str | None) -> int:
    """Count a user's, or with None the operator's."""
    theirs = c.user_id.is_(None) if user_id is None else c.user_id == user_id
    return connection.execute(select(func.count()).select_from(endpoints).where(theirs)).scalar_one()
