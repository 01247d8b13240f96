"""
Read the change feed: the changes after a sequence number, where the feed ends and starts, and consumers' positions.

A reader that remembers the last `seq` misses nothing: sequence numbers become visible in order (see
`models.apply.write`), and the last pruned number is stored, so that a reader that is too late gets to know it.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from models.tables.internal_tables import feed_cursors
from models.tables.public_tables import changes

# The channel on which models.apply.write notifies PostgreSQL's listeners of new changes.
CHANNEL = "intercom_mirror_changes"

# The row of `feed_cursors` that stores up to where the feed was pruned.
_PRUNED = "pruned"


class FeedChange(NamedTuple):
    """A change; see docs/tables.md."""

    seq: int
    workspace_id: str
    object_type: str
    object_id: str
    op: str
    related_type: str | None
    related_id: str | None
    changed_fields: list[str]
    source: str
    notification_id: str | None
    at: datetime


def changes_after(
    connection: Connection,
    seq: int,
    limit: int,
    workspace_ids: Collection[str] | None = None,
    types: Collection[str] | None = None,
    through: int | None = None,
) -> list[FeedChange]:
    """
    Return the next changes after a sequence number, in order.

    Args:
        connection: for reading.
        seq: the number after which to start.
        limit: the largest number of changes to return.
        workspace_ids: return only changes of these workspaces; None for all.
        types: return only changes of these types of objects; None for all.
        through: return no change after this number.
    """
    query = select(*(changes.c[name] for name in FeedChange._fields)).where(changes.c.seq > seq)
    if workspace_ids is not None:
        query = query.where(changes.c.workspace_id.in_(workspace_ids))
    if types is not None:
        query = query.where(changes.c.object_type.in_(types))
    if through is not None:
        query = query.where(changes.c.seq <= through)
    return [FeedChange(*row) for row in connection.execute(query.order_by(changes.c.seq).limit(limit))]


def last_seq(connection: Connection) -> int:
    """
    Return the number of the last change, 0 if there never was one.

    Call it before reading changes up to it: every change with a lower number is visible by then. If all changes were
    pruned, it is the number of the last one.
    """
    newest = connection.execute(select(func.max(changes.c.seq))).scalar()
    return max(newest or 0, pruned_through(connection))


def pruned_through(connection: Connection) -> int:
    """Return the number up to which changes were deleted. A reader behind it must read the tables again."""
    return consumer_position(connection, _PRUNED) or 0


def mark_pruned(connection: Connection, before: datetime, now: datetime) -> None:
    """Store up to which number changes are older than `before`. Call it before they are deleted."""
    seq = connection.execute(select(func.max(changes.c.seq)).where(changes.c.at < before)).scalar()
    if seq is not None:
        advance_consumer(connection, _PRUNED, seq, now)


def consumer_position(connection: Connection, name: str) -> int | None:
    """Return the last number that a consumer has processed; None if it has stored none."""
    return connection.execute(select(feed_cursors.c.seq).where(feed_cursors.c.name == name)).scalar()


def advance_consumer(connection: Connection, name: str, seq: int, now: datetime) -> bool:
    """
    Advance a consumer's position; return False if it is as far already.

    Call it in the transaction that writes the effects of the changes: then each change has its effects once.
    """
    if consumer_position(connection, name) is None:
        connection.execute(insert(feed_cursors).values(name=name, seq=seq, moved_at=now))
        return True
    behind = (feed_cursors.c.name == name) & (feed_cursors.c.seq < seq)
    return connection.execute(update(feed_cursors).where(behind).values(seq=seq, moved_at=now)).rowcount == 1
