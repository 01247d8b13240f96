"""
Posts signed notifications as Intercom does: a timeout of five seconds and one retry.

Source:
    Intercom, "Webhook notifications" (time-out, retry after one minute, 410 ends the subscription).
"""

import heapq
import itertools
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Self

import requests

from emulator.delivery_log import DeliveryAttempt, DeliveryLog
from emulator.emulated_notification import EmulatedNotification
from emulator.loopback import require_loopback
from emulator.network_faults import NO_FAULTS, DeliveryPlanner, NetworkFaults, PlannedDelivery
from intercom_api.wire.signatures import sign

# How long Intercom waits for a response.
RESPONSE_TIMEOUT_SECONDS = 5.0
# How long Intercom waits before its retry. Tests use less.
RETRY_AFTER_SECONDS = 60.0
# The receiver is on this machine and responds in milliseconds: four threads send several hundred per second.
THREADS = 4
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "User-Agent": "intercom-parrot-service-client/1.0",
}


@dataclass(frozen=True)
class WebhookTarget:
    """The URL to post to (this machine only), and the client secret to sign with."""

    url: str
    client_secret: str


class NotificationSender:
    """
    A queue of deliveries with due times, and the threads that post them.

    Use it as a context manager. Leaving it stops the threads; deliveries that are not due yet remain unsent (call
    `wait` first). The due times count from the creation of the sender.

    Args:
        target: where to post.
        faults: the network faults.
        seed: the seed of the faults.
        retry_after_seconds: the time before the retry.
        threads: the greatest number of concurrent deliveries.

    Raises:
        NotLoopbackError: the target is another machine.

    Attributes:
        on_attempt: called after every attempt, in the thread that made it.
    """

    def __init__(
        self,
        target: WebhookTarget,
        faults: NetworkFaults = NO_FAULTS,
        seed: int = 1,
        retry_after_seconds: float = RETRY_AFTER_SECONDS,
        threads: int = THREADS,
    ) -> None:
        self.target = WebhookTarget(require_loopback(target.url), target.client_secret)
        self.planner = DeliveryPlanner(faults, seed)
        self.delivery_log = DeliveryLog()
        self.on_attempt: Callable[[DeliveryAttempt], None] | None = None
        self._retry_after_seconds = retry_after_seconds
        self._start = time.monotonic()
        self._queue: list[tuple[float, int, int, EmulatedNotification]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._under_way = 0
        self._stopped = False
        self._threads = [threading.Thread(target=self._run, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def sent(self) -> set[str]:
        """The ids of notifications with at least one attempt."""
        return self.delivery_log.sent

    @property
    def acknowledged(self) -> set[str]:
        """The ids of notifications that received a 2xx: the receiver must not lose them."""
        return self.delivery_log.acknowledged

    @property
    def lost(self) -> set[str]:
        """The ids of notifications that were never sent, because of a network fault."""
        return self.delivery_log.lost

    def send(
        self, notifications: Iterable[EmulatedNotification], rate: float | None = None
    ) -> list[EmulatedNotification]:
        """
        Queue notifications in order, and return at once.

        Args:
            notifications: the notifications.
            rate: how many per second; None: all of them now.

        Returns:
            The notifications that are lost.
        """
        now = time.monotonic() - self._start
        lost = []
        for index, notification in enumerate(notifications):
            emitted_at = now + index / rate if rate else now
            deliveries = self.planner.deliveries(notification, emitted_at)
            if not deliveries:
                self.delivery_log.add_lost(notification)
                lost.append(notification)
            self.schedule(deliveries)
        return lost

    def schedule(self, deliveries: Iterable[PlannedDelivery]) -> None:
        """Queue planned deliveries."""
        with self._changed:
            for delivery in deliveries:
                self._push(delivery.due, 1, delivery.notification)
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """The number of deliveries that are queued or under way."""
        with self._changed:
            return len(self._queue) + self._under_way

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until nothing is queued or under way, retries included. Return False after the timeout."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._under_way, timeout_seconds)

    def stop(self) -> None:
        """Stop the threads: deliveries under way are finished, queued ones are not sent."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _push(self, due: float, attempt: int, notification: EmulatedNotification) -> None:
        heapq.heappush(self._queue, (due, next(self._order), attempt, notification))

    def _run(self) -> None:
        """
        Post deliveries until the sender stops.

        1. Wait until the first delivery of the queue is due, and take it.
        2. Post it, and log the attempt.
        3. If the first attempt failed and its topic is not switched off, queue the retry.
        """
        with requests.Session() as session:
            # Proxies and .netrc from the environment must not redirect the request.
            session.trust_env = False
            session.headers.update(_HEADERS)
            while taken := self._take():
                self._attempt(session, *taken)

    def _take(self) -> tuple[int, EmulatedNotification] | None:
        with self._changed:
            while not self._stopped:
                wait = self._queue[0][0] - (time.monotonic() - self._start) if self._queue else None
                if wait is not None and wait <= 0:
                    _, _, attempt, notification = heapq.heappop(self._queue)
                    self._under_way += 1
                    return attempt, notification
                self._changed.wait(wait)
        return None

    def _attempt(self, session: requests.Session, number: int, notification: EmulatedNotification) -> None:
        attempt = DeliveryAttempt(notification, number, *self._post(session, notification))
        self.delivery_log.add(attempt)
        try:
            if self.on_attempt:
                self.on_attempt(attempt)
        finally:
            self._finish(attempt)

    def _finish(self, attempt: DeliveryAttempt) -> None:
        topic, successful = attempt.notification.topic, attempt.successful
        with self._changed:
            if not successful and attempt.number == 1 and not self.delivery_log.is_switched_off(topic):
                due = time.monotonic() - self._start + self._retry_after_seconds
                self._push(due, 2, attempt.notification.as_retry())
            self._under_way -= 1
            self._changed.notify_all()

    def _post(self, session: requests.Session, notification: EmulatedNotification) -> tuple[int | None, float]:
        """Return the status (None without a response) and the duration in seconds."""
        if self.delivery_log.is_switched_off(notification.topic):
            return None, 0.0
        headers = {"X-Hub-Signature": sign(notification.body, self.target.client_secret)}
        began = time.monotonic()
        try:
            response = session.post(
                self.target.url,
                notification.body,
                headers=headers,
                timeout=RESPONSE_TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException:
            return None, time.monotonic() - began
        return response.status_code, time.monotonic() - began
