"""Celery beat's scheduler: it sends a message only when a worker can use it."""

from typing import Any

from celery.beat import ScheduleEntry, Scheduler
from redis import Redis
from redis.exceptions import RedisError

from settings import get_settings
from workers.inbox.backlog import measure_backlog
from workers.inbox.doorbell import DOORBELL_MILLISECONDS
from workers.runtime.redis_clients import blocking_client
from workers.runtime.redis_keys import DOORBELL
from workers.runtime.task_names import DRAIN_TASK

# Messages in a queue from which on no more are sent to it. A worker that was stopped for a night must not find tens of
# thousands of doorbells. More than one, because each pool process may be busy with a longer task.
MAX_QUEUED_MESSAGES = 4

# Seconds after which an entry that still waits shows that a doorbell was lost, or that the process that received it
# crashed: a running drain takes an entry within a second. Without this rule a crashed drain would delay the inbox by
# the five seconds until its doorbell key expires, and a web process whose own messages never arrive would keep Celery
# beat from sending any.
LOST_DOORBELL_SECONDS = 2.0


class DoorbellScheduler(Scheduler):
    """
    Sends the messages of the schedule.

    1.  A message is skipped while MAX_QUEUED_MESSAGES or more wait in its queue.
    2.  A doorbell is skipped while the doorbell key is set, unless an entry has waited for LOST_DOORBELL_SECONDS.
    3.  A skipped message is due again after the usual interval.

    The schedule is kept in memory only. Every task may run at any time, so nothing is lost with it.
    """

    def apply_async(self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **kwargs: Any) -> Any:  # noqa: FBT001, FBT002 -- Celery's signature
        """Send the message of an entry of the schedule, or skip it."""
        if not self._is_needed(entry):
            return self.reserve(entry)
        return super().apply_async(entry, producer=producer, advance=advance, **kwargs)

    def _is_needed(self, entry: ScheduleEntry) -> bool:
        redis = blocking_client(get_settings().redis_url)
        try:
            # Celery keeps a queue as a Redis list of the same name.
            if int(redis.llen(entry.options["queue"])) >= MAX_QUEUED_MESSAGES:
                return False
            return entry.task != DRAIN_TASK or _doorbell_is_needed(redis)
        except RedisError:
            # Celery itself logs that the broker is unreachable when it sends.
            return True


def _doorbell_is_needed(redis: Redis) -> bool:
    if redis.set(DOORBELL, "1", nx=True, px=DOORBELL_MILLISECONDS):
        return True
    return measure_backlog(redis).oldest_seconds > LOST_DOORBELL_SECONDS
