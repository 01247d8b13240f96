"""From changes in the feed to deliveries: one row for each change and each endpoint that wants it."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine

from models.db.engine import transaction
from models.queries import change_feed, connection_rows, delivery_rows, endpoint_rows
from models.queries.change_feed import FeedChange
from models.queries.endpoint_rows import ENABLED, EndpointRow
from workers.deliveries import webhook_message

# Changes read in one transaction: some tens of milliseconds, for which SQLite's other writers wait.
PAGE = 500
# Deliveries that may wait for one endpoint. The rest stays in the feed, which needs a twentieth of the space.
MAX_WAITING = 5_000


def fan_out(engine: Engine, reader: Engine, endpoint: EndpointRow, now: datetime) -> bool:
    """
    Make the next deliveries of an endpoint.

    1. Return if the feed has nothing after the endpoint's position.
    2. In one transaction, lock the endpoint's row and read it again, because another process may have been faster.
       Return if it is disabled or too many of its deliveries wait.
    3. If changes after its position were pruned: add one "feed.resync" message, and move the position to the last
       pruned change.
    4. Otherwise read the next page of changes of its workspaces, add a delivery for each that passes its filters, and
       move its position past the page. A crash before the commit repeats all of it, so no change is lost or doubled.

    Returns:
        Whether there may be more to do at once.
    """
    with reader.connect() as connection:
        if change_feed.last_seq(connection) <= endpoint.seq:
            return False
    with transaction(engine) as connection:
        current = endpoint_rows.find(connection, endpoint.id, lock=True)
        if current is None or current.status != ENABLED:
            return False
        if delivery_rows.count_waiting(connection, current.id) + PAGE > MAX_WAITING:
            return False
        return _add_page(connection, current, now)


def _add_page(connection: Connection, endpoint: EndpointRow, now: datetime) -> bool:
    pruned = change_feed.pruned_through(connection)
    if endpoint.seq < pruned:
        delivery_rows.add(connection, [_resync_row(endpoint, pruned, now)])
        endpoint_rows.update_columns(connection, endpoint.id, seq=pruned)
        return True
    last = change_feed.last_seq(connection)
    workspaces = visible_workspaces(connection, endpoint)
    changes = change_feed.changes_after(connection, endpoint.seq, PAGE, workspaces, endpoint.types or None, last)
    wanted = [change for change in changes if webhook_message.passes_filters(endpoint, change)]
    delivery_rows.add(connection, [_row(endpoint, change, now) for change in wanted])
    is_full = len(changes) == PAGE
    endpoint_rows.update_columns(connection, endpoint.id, seq=changes[-1].seq if is_full else last)
    return is_full


def visible_workspaces(connection: Connection, endpoint: EndpointRow) -> Collection[str] | None:
    """Return the workspaces whose changes an endpoint gets now: its user's connected ones; None for all."""
    if endpoint.user_id is None:
        return None
    rows = connection_rows.connections_of_user(connection, endpoint.user_id)
    return [row["workspace_id"] for row in rows if row["status"] == connection_rows.CONNECTED]


def _row(endpoint: EndpointRow, change: FeedChange, now: datetime) -> dict[str, Any]:
    return {
        "endpoint_id": endpoint.id,
        "change_seq": change.seq,
        "workspace_id": change.workspace_id,
        "object_type": change.object_type,
        "object_id": change.object_id,
        "body": webhook_message.change_message(change),
        "state": delivery_rows.WAITING,
        "due_at": now,
        "created_at": now,
    }


def _resync_row(endpoint: EndpointRow, pruned: int, now: datetime) -> dict[str, Any]:
    # Its object is the whole feed. Its workspace is blank, so that the sender lets it pass for each endpoint.
    change = FeedChange(pruned, "", "feed", "feed", "resync", None, None, [], "", None, now)
    return _row(endpoint, change, now) | {"body": webhook_message.resync_message(pruned, now)}
