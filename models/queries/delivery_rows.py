"""Deliveries of outgoing webhooks: add, claim, record attempts, list and replay them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Connection, func, insert, or_, select, update

from models.tables.delivery_tables import deliveries

WAITING, DELIVERED, FAILED = "waiting", "delivered", "failed"

c = deliveries.c


class DeliveryRow(NamedTuple):
    """A row; see `models.tables.delivery_tables`."""

    id: int
    endpoint_id: str
    change_seq: int
    workspace_id: str
    object_type: str
    object_id: str
    body: str
    state: str
    attempts: int
    first_tried_at: datetime | None
    due_at: datetime
    lease_until: datetime | None
    status: int | None
    error: str | None
    created_at: datetime
    ended_at: datetime | None


_COLUMNS = [c[name] for name in DeliveryRow._fields]


def add(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Insert deliveries, in the order in which they are to be sent."""
    if rows:
        connection.execute(insert(deliveries), list(rows))


def count_waiting(connection: Connection, endpoint_id: str) -> int:
    """Return the number of an endpoint's deliveries that wait to be sent."""
    waiting = (c.endpoint_id == endpoint_id) & (c.state == WAITING)
    return connection.execute(select(func.count()).select_from(deliveries).where(waiting)).scalar_one()


def any_due(connection: Connection, endpoint_id: str, now: datetime) -> bool:
    """Return whether `claim` may find a delivery; one that must wait for an older one of its object counts too."""
    due = (c.endpoint_id == endpoint_id) & (c.state == WAITING) & (c.due_at <= now)
    free = or_(c.lease_until.is_(None), c.lease_until < now)
    return connection.execute(select(c.id).where(due, free).limit(1)).first() is not None


def claim(connection: Connection, endpoint_id: str, limit: int, now: datetime, until: datetime) -> list[DeliveryRow]:
    """
    Lease due deliveries, at most one of each object: its oldest, so that later ones wait for it.

    The caller has locked the endpoint's row. No other process sends a claimed delivery before `until`, or before its
    attempt is recorded. The attempt is counted before it is made.
    """
    waiting = (c.endpoint_id == endpoint_id) & (c.state == WAITING)
    oldest = select(func.min(c.id)).where(waiting).group_by(c.workspace_id, c.object_type, c.object_id)
    free = or_(c.lease_until.is_(None), c.lease_until < now)
    query = select(*_COLUMNS).where(c.id.in_(oldest), c.due_at <= now, free).order_by(c.id).limit(limit)
    claimed = [DeliveryRow(*row) for row in connection.execute(query)]
    if claimed:
        attempt = {"attempts": c.attempts + 1, "first_tried_at": func.coalesce(c.first_tried_at, now)}
        lease = update(deliveries).where(c.id.in_([each.id for each in claimed]))
        connection.execute(lease.values(lease_until=until, **attempt))
    return [each._replace(attempts=each.attempts + 1, first_tried_at=each.first_tried_at or now) for each in claimed]


def record_attempt(connection: Connection, delivery: DeliveryRow, **values: Any) -> None:
    """Store the result of an attempt, unless the delivery was replayed or ended in the meantime."""
    same = (c.id == delivery.id) & (c.state == WAITING) & (c.attempts == delivery.attempts)
    connection.execute(update(deliveries).where(same).values(lease_until=None, **values))


def make_due(connection: Connection, endpoint_id: str, now: datetime) -> None:
    """Make all waiting deliveries of an endpoint due now, as it responds again."""
    waiting = (c.endpoint_id == endpoint_id) & (c.state == WAITING) & (c.due_at > now)
    connection.execute(update(deliveries).where(waiting).values(due_at=now))


def replay(connection: Connection, endpoint_id: str, delivery_id: int, now: datetime) -> bool:
    """Send a delivery again, even a delivered one; return False if it does not exist."""
    one = (c.endpoint_id == endpoint_id) & (c.id == delivery_id)
    fresh = {
        "state": WAITING,
        "attempts": 0,
        "first_tried_at": None,
        "due_at": now,
        "lease_until": None,
        "status": None,
        "error": None,
        "ended_at": None,
    }
    return connection.execute(update(deliveries).where(one).values(**fresh)).rowcount == 1


def list_page(
    connection: Connection, endpoint_id: str, state: str | None, before: int | None, limit: int
) -> list[DeliveryRow]:
    """Return an endpoint's deliveries, the newest first; with `before`, those with a lower id."""
    query = select(*_COLUMNS).where(c.endpoint_id == endpoint_id)
    if state is not None:
        query = query.where(c.state == state)
    if before is not None:
        query = query.where(c.id < before)
    return [DeliveryRow(*row) for row in connection.execute(query.order_by(c.id.desc()).limit(limit))]
