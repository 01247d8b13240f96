"""
The doorbell: the Celery message that means "the inbox is not empty".

The message carries no data. It may be lost, repeated or late: the entries are in the stream, and Celery beat sends the
doorbell too. A key in Redis marks that a message is on its way, so that one message covers many appends.

The order that loses no entry:

1.  A writer appends first, then sets the key with `SET NX`. If the key was absent, it publishes the message.
2.  The drain deletes the key first, then reads once more. An entry that this read misses finds the key absent, so its
    writer publishes again.
"""

import threading
from collections.abc import Callable

import structlog
from celery import Celery
from redis import Redis

from workers.runtime.redis_keys import DOORBELL, SECOND_DRAIN
from workers.runtime.task_names import DRAIN_TASK, QUEUES

log = structlog.get_logger()

# Milliseconds for which one doorbell keeps others from being sent. If the message is lost or no worker runs, the next
# one comes this much later: long enough that an idle queue does not fill up, short enough that a loss costs seconds.
DOORBELL_MILLISECONDS = 5_000


def send_if_absent(redis: "Redis", app: Celery) -> bool:
    """Send the doorbell unless one is on its way; return whether it was sent. Raises what Redis and kombu raise."""
    was_absent = redis.set(DOORBELL, "1", nx=True, px=DOORBELL_MILLISECONDS)
    if was_absent:
        publish(app)
    return bool(was_absent)


def send(redis: "Redis", app: Celery) -> None:
    """Send the doorbell even if one is on its way: for a drain that stops while entries are left."""
    redis.set(DOORBELL, "1", px=DOORBELL_MILLISECONDS)
    publish(app)


def send_for_second_drain(redis: "Redis", app: Celery) -> None:
    """Start a second drain next to one that finds full batches; at most once per DOORBELL_MILLISECONDS."""
    if redis.set(SECOND_DRAIN, "1", nx=True, px=DOORBELL_MILLISECONDS):
        publish(app)


def clear(redis: "Redis") -> None:
    """Delete the doorbell key, so that the next append sends a message. Call it before the last read of the inbox."""
    redis.delete(DOORBELL)


def publish(app: Celery) -> None:
    """Send the Celery message, whether the key is set or not."""
    # By name, so that a process that only receives notifications does not import the drain, and SQL with it.
    app.send_task(DRAIN_TASK, queue=QUEUES[DRAIN_TASK], retry=False, ignore_result=True)


class DoorbellSender:
    """
    Publishes from a thread of its own, so that a slow broker never holds up a request.

    Requests that come while a message is being sent are covered by one more message.
    """

    def __init__(self, publish: Callable[[], None]) -> None:
        self._publish = publish
        self._requested = threading.Event()
        # A daemon, because a broker that hangs must not keep the process from stopping.
        threading.Thread(target=self._run, name="doorbell", daemon=True).start()

    def request(self) -> None:
        """Have the message sent; returns at once."""
        self._requested.set()

    def _run(self) -> None:
        while True:
            self._requested.wait()
            self._requested.clear()
            try:
                self._publish()
            except Exception as error:  # noqa: BLE001 -- kombu raises whatever its transport raises
                # The entries are in the stream: Celery beat sends the doorbell once the key has expired.
                log.warning("doorbell not sent; Celery beat sends the next one", error=type(error).__name__)
