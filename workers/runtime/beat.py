"""Celery's clock, which rings only where nobody else just did."""

from typing import Any

from celery.beat import ScheduleEntry, Scheduler
from redis import Redis
from redis.exceptions import RedisError

from settings import get_settings
from workers.inbox.backlog import measure_backlog
from workers.inbox.doorbell import DOORBELL_MILLISECONDS
from workers.runtime.redis_clients import blocking_client
from workers.runtime.redis_keys import DOORBELL

# Messages that may wait in a queue before the clock holds its own back. A worker that is away for a night must not
# find tens of thousands of doorbells; a few more than one, as each child may be busy with something longer.
MOST_WAITING = 4

# Seconds after which an entry that still waits says that a ring was lost, or that whoever answered it died: a drain at
# work takes an entry within a second. Without it the end of a drain's process cost five seconds, until its doorbell
# expired; and a web process whose own rings never arrive would keep the clock from ringing.
UNANSWERED_SECONDS = 2.0


class DoorbellScheduler(Scheduler):
    """
    Sends a message only while few wait for a worker, and rings the doorbell only if nobody just did, or nobody came.

    The schedule is kept in memory: every task may run at any time, so nothing is lost with it.
    """

    def apply_async(self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 -- Celery's signature
        """Send the message of a schedule's entry, if it is wanted."""
        if not self._wanted(entry):
            return self.reserve(entry)
        return super().apply_async(entry, producer=producer, advance=advance, **kwargs)

    def _wanted(self, entry: ScheduleEntry) -> bool:
        redis = blocking_client(get_settings().redis_url)
        try:
            # Celery keeps a queue as a Redis list of its name.
            if int(redis.llen(entry.options["queue"])) >= MOST_WAITING:
                return False
            return entry.name != "ring" or _nobody_came(redis)
        except RedisError:
            # Celery tells of a broker that is away in its own words.
            return True


def _nobody_came(redis: Redis) -> bool:
    if redis.set(DOORBELL, "1", nx=True, px=DOORBELL_MILLISECONDS):
        return True
    return measure_backlog(redis).oldest_seconds > UNANSWERED_SECONDS
