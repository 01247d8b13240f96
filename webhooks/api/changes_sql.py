"""Reads the change feed for /api/changes. It loads SQL, so it is imported late."""

from collections.abc import Collection
from typing import NamedTuple

from models.queries import change_feed
from models.queries.change_feed import FeedChange
from workers.runtime.feed_watch import shared_feed_watch
from workers.runtime.process_resources import reader

# Seconds after which changes are read even without a signal: what a lost signal costs.
POLL_SECONDS = 5.0


class FeedPage(NamedTuple):
    """
    Changes of the feed.

    Attributes:
        changes: in order.
        next: the number after which to read next.
        pruned: set if the changes asked for are deleted: those up to this number are.
    """

    changes: list[FeedChange]
    next: int
    pruned: int | None = None


def read(after: int | None, limit: int, workspaces: Collection[str] | None, types: Collection[str] | None) -> FeedPage:
    """Read changes after a number; if that is None, only the end of the feed."""
    with reader().connect() as connection:
        # Before the changes: all changes up to it are visible to the next query, so reading may continue after it.
        head = change_feed.last_seq(connection)
        if after is None:
            return FeedPage([], head)
        changes = change_feed.changes_after(connection, after, limit, workspaces, types, through=head)
        # After the changes: what is deleted is marked as deleted before.
        pruned = change_feed.pruned_through(connection)
    if after < pruned:
        return FeedPage([], head, pruned)
    return FeedPage(changes, changes[-1].seq if len(changes) == limit else max(head, after))


def mark() -> int:
    """Return the mark to pass to `wait`; take it before reading."""
    return shared_feed_watch().mark()


def wait(mark: int, seconds: float) -> None:
    """Wait for a signal after the mark, for at most so many seconds."""
    shared_feed_watch().wait(mark, min(seconds, POLL_SECONDS))
