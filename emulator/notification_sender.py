"""
Posts signed notifications as Intercom does: five seconds' patience, one retry, and then never again.

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

# Intercom waits so long for an answer.
RESPONSE_TIMEOUT_SECONDS = 5.0
# Intercom tries once more after a minute. Tests that need not wait so long say so.
RETRY_AFTER_SECONDS = 60.0
# The receiver is on this machine and answers in milliseconds: a few threads reach several hundred per second.
THREADS = 4
_HEADERS = {
    "Content-Type": "application/json",
    "Accept": "application/json",
    "User-Agent": "intercom-parrot-service-client/1.0",
}


@dataclass(frozen=True)
class WebhookTarget:
    """Where to post (this machine only), and the client secret to sign with."""

    url: str
    client_secret: str


class NotificationSender:
    """
    A queue of deliveries, each with the time it is due, and threads that post them.

    Use it as a context manager; leaving it stops the threads, and what is not yet due stays unsent (`wait` first).

    Args:
        route: where to post.
        weather: what happens to notifications on their way.
        seed: the seed of the weather.
        retry_after_seconds: how long to wait before the one retry.
        threads: how many deliveries may be under way at once.

    Raises:
        NotLoopbackError: the target is another machine.
    """

    def __init__(
        self,
        target: WebhookTarget,
        weather: NetworkFaults = NO_FAULTS,
        seed: int = 1,
        retry_after_seconds: float = RETRY_AFTER_SECONDS,
        threads: int = THREADS,
    ) -> None:
        self.target = WebhookTarget(require_loopback(target.url), target.client_secret)
        self.planner = DeliveryPlanner(weather, seed)
        self.delivery_log = DeliveryLog()
        self._retry_after_seconds = retry_after_seconds
        # Called after every attempt, from the thread that made it.
        self.on_attempt: Callable[[DeliveryAttempt], None] | None = None
        self._start = time.monotonic()
        self._queue: list[tuple[float, int, int, EmulatedNotification]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        self._under_way = 0
        self._stopped = False
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(threads)]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def sent(self) -> set[str]:
        """The ids of which at least one attempt was made."""
        return self.delivery_log.sent

    @property
    def acknowledged(self) -> set[str]:
        """The ids that were answered 200 at least once: what the receiver may not lose."""
        return self.delivery_log.acknowledged

    @property
    def lost(self) -> set[str]:
        """The ids that the weather took: never sent."""
        return self.delivery_log.lost

    def send(
        self, notifications: Iterable[EmulatedNotification], rate: float | None = None
    ) -> list[EmulatedNotification]:
        """
        Queue notifications in the order in which they were told, and return at once, with those that get lost.

        Args:
            notifications: what Intercom tells.
            rate: how many per second; None: all are told now.
        """
        now = time.monotonic() - self._start
        lost = []
        for index, notification in enumerate(notifications):
            told_at = now + index / rate if rate else now
            deliveries = self.planner.deliveries(notification, told_at)
            if not deliveries:
                self.delivery_log.lose(notification)
                lost.append(notification)
            self.schedule(deliveries)
        return lost

    def schedule(self, deliveries: Iterable[PlannedDelivery]) -> None:
        """Queue deliveries of a plan made before; their `due` counts from the making of this sender."""
        with self._changed:
            for delivery in deliveries:
                self._push(delivery.due, 1, delivery.notification)
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many deliveries are queued or under way."""
        with self._changed:
            return len(self._queue) + self._under_way

    def wait(self, timeout_seconds: float | None = None) -> bool:
        """Wait until nothing is queued or under way, retries included; False if that took too long."""
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._under_way, timeout_seconds)

    def stop(self) -> None:
        """Stop the threads; what is under way is finished, what is queued is not sent."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _push(self, due: float, attempt: int, notification: EmulatedNotification) -> None:
        heapq.heappush(self._queue, (due, next(self._order), attempt, notification))

    def _work(self) -> None:
        with requests.Session() as session:
            # Neither proxies nor .netrc of the environment have a say in where this goes.
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
                self._push(due, 2, attempt.notification.retried())
            self._under_way -= 1
            self._changed.notify_all()

    def _post(self, session: requests.Session, notification: EmulatedNotification) -> tuple[int | None, float]:
        if self.delivery_log.is_switched_off(notification.topic):
            return None, 0.0
        headers = {"X-Hub-Signature": sign(notification.body, self.target.client_secret)}
        began = time.monotonic()
        try:
            answer = session.post(
                self.target.url,
                notification.body,
                headers=headers,
                timeout=RESPONSE_TIMEOUT_SECONDS,
                allow_redirects=False,
            )
        except requests.RequestException:
            return None, time.monotonic() - began
        return answer.status_code, time.monotonic() - began
