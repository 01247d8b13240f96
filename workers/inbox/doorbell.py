"""
The doorbell: the Celery message that says "the inbox is not empty".

The order that loses no wake-up: append first, then `SET doorbell NX`; whoever wins the SET publishes. The drain
deletes the doorbell before it looks for entries, so an entry that it does not see rings again.
"""

import threading
from collections.abc import Callable

import structlog
from celery import Celery
from redis import Redis

from workers.runtime.redis_keys import DOORBELL, SECOND_DRAIN

log = structlog.get_logger()

# How long one ring keeps others from ringing. If the message is lost or no worker runs, the next ring comes this
# much later: long enough that an idle queue does not fill with rings, short enough that a lost one costs seconds.
DOORBELL_MILLISECONDS = 5_000

# By name, so that a process that only receives need not import the drain, and SQL with it.
_DRAIN_TASK = "workers.tasks.drain_inbox"
_DRAIN_QUEUE = "drain"


def send_if_absent(redis: "Redis", app: Celery) -> bool:
    """Ring unless somebody just did; returns whether we rang. Raises what Redis or the broker raise."""
    won = redis.set(DOORBELL, "1", nx=True, px=DOORBELL_MILLISECONDS)
    if won:
        publish(app)
    return bool(won)


def send(redis: "Redis", app: Celery) -> None:
    """Ring although somebody may just have: for a drain that leaves while entries are left."""
    redis.set(DOORBELL, "1", px=DOORBELL_MILLISECONDS)
    publish(app)


def send_for_second_drain(redis: "Redis", app: Celery) -> None:
    """Ring for one more drain, beside the one that found a full batch; again no sooner than the last one expires."""
    if redis.set(SECOND_DRAIN, "1", nx=True, px=DOORBELL_MILLISECONDS):
        publish(app)


def clear(redis: "Redis") -> None:
    """Take the doorbell off, so that the next append rings again. Call it before you look for entries."""
    redis.delete(DOORBELL)


def publish(app: Celery) -> None:
    """Send the Celery message itself. It carries no data, so that losing or repeating it is harmless."""
    app.send_task(_DRAIN_TASK, queue=_DRAIN_QUEUE, retry=False, ignore_result=True)


class DoorbellSender:
    """
    Publishes from a thread of its own, so that a slow broker never holds a request.

    Rings that come while one is on its way become one: a message sent after an append covers it.
    """

    def __init__(self, publish: Callable[[], None]) -> None:
        self._publish = publish
        self._wanted = threading.Event()
        # A daemon, because a broker that hangs must not keep the process from stopping.
        threading.Thread(target=self._run, name="ringer", daemon=True).start()

    def ring(self) -> None:
        """Ask for a ring; returns at once."""
        self._wanted.set()

    def _run(self) -> None:
        while True:
            self._wanted.wait()
            self._wanted.clear()
            try:
                self._publish()
            except Exception as error:  # noqa: BLE001 -- kombu raises what its transport raises
                # The entries are safe: Celery beat rings too, once this ring has expired.
                log.warning("doorbell was not rung", error=type(error).__name__)
