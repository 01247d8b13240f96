"""
From lines of the feed to deliveries: each line once for each endpoint that wants it.

The rows and the endpoint's place in the feed are written in one transaction, so a crash loses none and doubles none.
"""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from models.db.engine import transaction
from models.queries import change_feed, connection_rows, delivery_rows, endpoint_rows
from models.queries.change_feed import FeedChange
from models.queries.endpoint_rows import ENABLED, EndpointRow
from workers.deliveries import webhook_message

# Lines that are looked at in one transaction: some tens of milliseconds, which SQLite's other writers wait for.
PAGE = 500
# Deliveries that may wait for one endpoint. The feed itself keeps the rest, in a twentieth of the room.
MOST_WAITING = 5_000


def fan_out(engine: Engine, reader: Engine, endpoint: EndpointRow, now: datetime) -> bool:
    """Make the next deliveries of an endpoint; returns whether there may be more to make at once."""
    with reader.connect() as connection:
        if change_feed.last_seq(connection) <= endpoint.seq:
            return False
    with transaction(engine) as connection:
        # Read again under the lock: another process may have been faster.
        found = endpoint_rows.find(connection, endpoint.id, lock=True)
        if found is None or found.status != ENABLED:
            return False
        if delivery_rows.count_waiting(connection, found.id) + PAGE > MOST_WAITING:
            return False
        return _next(connection, found, now)


def _next(connection: Connection, endpoint: EndpointRow, now: datetime) -> bool:
    pruned = change_feed.pruned_through(connection)
    if endpoint.seq < pruned:
        delivery_rows.add(connection, [_resync(endpoint, pruned, now)])
        endpoint_rows.update_columns(connection, endpoint.id, seq=pruned)
        return True
    head = change_feed.last_seq(connection)
    lines = change_feed.changes_after(
        connection, endpoint.seq, PAGE, theirs(connection, endpoint), endpoint.types or None, head
    )
    rows = [_row(endpoint, line, now) for line in lines if webhook_message.wants(endpoint, line)]
    delivery_rows.add(connection, rows)
    full = len(lines) == PAGE
    endpoint_rows.update_columns(connection, endpoint.id, seq=lines[-1].seq if full else head)
    return full


def theirs(connection: Connection, endpoint: EndpointRow) -> Collection[str] | None:
    """Return the workspaces that an endpoint hears of now; None for all."""
    if endpoint.user_id is None:
        return None
    rows = connection_rows.connections_of_user(connection, endpoint.user_id)
    return [row["workspace_id"] for row in rows if row["status"] == connection_rows.CONNECTED]


def _row(endpoint: EndpointRow, line: FeedChange, now: datetime) -> dict[str, Any]:
    return {
        "endpoint_id": endpoint.id,
        "change_seq": line.seq,
        "workspace_id": line.workspace_id,
        "object_type": line.object_type,
        "object_id": line.object_id,
        "body": webhook_message.body_of(line),
        "state": delivery_rows.WAITING,
        "due_at": now,
        "created_at": now,
    }


def _resync(endpoint: EndpointRow, pruned: int, now: datetime) -> dict[str, Any]:
    # The whole feed is its object, and no workspace is named, so that it passes whoever asks.
    line = FeedChange(pruned, "", "feed", "feed", "resync", None, None, [], "", None, now)
    return _row(endpoint, line, now) | {"body": webhook_message.resync_body(pruned, now)}
