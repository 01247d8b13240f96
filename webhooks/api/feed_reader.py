"""What the feed's address does with SQL; it loads SQL, so its users import it late."""

from collections.abc import Collection
from typing import NamedTuple

from models.queries import change_feed
from models.queries.change_feed import FeedChange
from workers.runtime.feed_watch import shared_feed_watch
from workers.runtime.process import reader

# Seconds after which lines are looked for even if nothing rang: what a lost signal costs.
LOOK_SECONDS = 5.0


class Found(NamedTuple):
    """What there is: `next` is where to go on; `pruned`, if set, that the lines asked for are gone up to there."""

    lines: list[FeedChange]
    next: int
    pruned: int | None = None


def read(after: int | None, limit: int, workspaces: Collection[str] | None, types: Collection[str] | None) -> Found:
    """Read lines after a number, or where that is None, only where the feed ends."""
    with reader().connect() as connection:
        # Before the lines: those up to it are all visible to the next query, so it may be gone on from there.
        head = change_feed.last_seq(connection)
        if after is None:
            return Found([], head)
        lines = change_feed.changes_after(connection, after, limit, workspaces, types, through=head)
        # After the lines: what is deleted is marked before.
        pruned = change_feed.pruned_through(connection)
    if after < pruned:
        return Found([], head, pruned)
    return Found(lines, lines[-1].seq if len(lines) == limit else max(head, after))


def mark() -> int:
    """Return what to hand to `wait`; ask before reading."""
    return shared_feed_watch().mark()


def wait(mark: int, seconds: float) -> None:
    """Wait until there may be more lines, or for that long."""
    shared_feed_watch().wait(mark, min(seconds, LOOK_SECONDS))
