"""
Following the feed: lines after a number, where it ends, where it begins by now, and how far each consumer is.

A reader that remembers the last `seq` misses nothing: numbers become visible in their order (see
`models.apply.write`), and what was pruned is remembered, so that who is too late is told.
"""

from collections.abc import Collection
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, func, insert, select, update

from models.tables.internal_tables import feed_cursors
from models.tables.public_tables import changes

# The channel on which PostgreSQL says that lines were added; models.apply.write notifies.
CHANNEL = "intercom_mirror_changes"

_PRUNED = "pruned"


class FeedChange(NamedTuple):
    """A line of the feed; see docs/tables.md."""

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
    Return the next lines after a number, in order.

    `workspace_ids`, `types` (of objects): only theirs; None for all. `through`: none after that number.
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
    Return the number of the last line, 0 if there never was one.

    Ask before reading lines up to it: every line with a lesser number is visible then. Where everything was pruned,
    it is the last one that was.
    """
    newest = connection.execute(select(func.max(changes.c.seq))).scalar()
    return max(newest or 0, pruned_through(connection))


def pruned_through(connection: Connection) -> int:
    """Return the number up to which lines were deleted; who is behind it must read the tables anew."""
    return consumer_position(connection, _PRUNED) or 0


def mark_pruned(connection: Connection, before: datetime, now: datetime) -> None:
    """Remember, before they are deleted, up to where lines are older than `before`."""
    seq = connection.execute(select(func.max(changes.c.seq)).where(changes.c.at < before)).scalar()
    if seq is not None:
        advance_consumer(connection, _PRUNED, seq, now)


def consumer_position(connection: Connection, name: str) -> int | None:
    """Return how far a consumer is; None if it never said."""
    return connection.execute(select(feed_cursors.c.seq).where(feed_cursors.c.name == name)).scalar()


def advance_consumer(connection: Connection, name: str, seq: int, now: datetime) -> bool:
    """
    Move a consumer's cursor on; False if it is as far already.

    Do it in the transaction of what the lines led to: then each leads to it once.
    """
    if consumer_position(connection, name) is None:
        connection.execute(insert(feed_cursors).values(name=name, seq=seq, moved_at=now))
        return True
    behind = (feed_cursors.c.name == name) & (feed_cursors.c.seq < seq)
    return connection.execute(update(feed_cursors).where(behind).values(seq=seq, moved_at=now)).rowcount == 1
