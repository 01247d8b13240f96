"""How many entries wait in the inbox, and for how long."""

from typing import NamedTuple

from redis import Redis

from settings.units import MS_PER_SECOND
from workers.runtime.redis_keys import INBOX


class Backlog(NamedTuple):
    """
    What was acknowledged to Intercom and is not yet in SQL.

    Args:
        depth: number of entries.
        oldest_seconds: how long the oldest entry has waited, by Redis's clock; 0 if there is none.
    """

    depth: int
    oldest_seconds: float


def measure_backlog(redis: Redis) -> Backlog:
    """Measure the inbox. Raises what redis-py raises."""
    pipeline = redis.pipeline(transaction=False)
    pipeline.xlen(INBOX)
    pipeline.xrange(INBOX, count=1)
    pipeline.time()
    depth, oldest, (seconds, microseconds) = pipeline.execute()
    if not oldest:
        return Backlog(depth, 0.0)
    appended_ms = int(oldest[0][0].partition(b"-")[0])
    return Backlog(depth, max(0.0, seconds + microseconds / 1e6 - appended_ms / MS_PER_SECOND))
