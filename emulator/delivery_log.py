"""The log of deliveries: which notifications were sent, and the receiver's responses."""

import threading
from collections import Counter
from dataclasses import dataclass, field

from emulator.emulated_notification import EmulatedNotification

# Intercom ends the subscription of the topic after this response.
_GONE = 410


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """
    One POST.

    Attributes:
        notification: the notification.
        number: 1, or 2 for the retry.
        status: the HTTP status; None if there was no response in time.
        seconds: the duration.
    """

    notification: EmulatedNotification
    number: int
    status: int | None
    seconds: float

    @property
    def successful(self) -> bool:
        """Whether the receiver accepted the notification with a 2xx."""
        return self.status is not None and 200 <= self.status < 300  # noqa: PLR2004 -- the range of 2xx


@dataclass
class DeliveryLog:
    """
    Sets of notification ids. A ping has no id and is only counted. Thread-safe.

    Attributes:
        sent: ids with at least one attempt.
        acknowledged: ids with a successful attempt: the receiver must not lose them.
        lost: ids that were never sent, because of a network fault.
        failed_twice: ids whose retry failed.
        status_counts: the number of attempts by status (0: no response in time).
        switched_off: topics that the receiver ended with a 410.
    """

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    failed_twice: set[str] = field(default_factory=set)
    status_counts: Counter[int] = field(default_factory=Counter)
    switched_off: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def dropped(self) -> set[str]:
        """The ids that failed twice and were never acknowledged: Intercom gives up on them."""
        with self._lock:
            return self.failed_twice - self.acknowledged

    def add_lost(self, notification: EmulatedNotification) -> None:
        """Log that a notification was never sent."""
        if notification.id is not None:
            with self._lock:
                self.lost.add(notification.id)

    def add(self, attempt: DeliveryAttempt) -> None:
        """Log an attempt."""
        with self._lock:
            self.status_counts[attempt.status or 0] += 1
            if attempt.status == _GONE:
                self.switched_off.add(attempt.notification.topic)
            if attempt.notification.id is not None:
                self._add_id(attempt.notification.id, attempt)

    def is_switched_off(self, topic: str) -> bool:
        """Whether the receiver ended this topic."""
        with self._lock:
            return topic in self.switched_off

    def _add_id(self, id_: str, attempt: DeliveryAttempt) -> None:
        self.sent.add(id_)
        if attempt.successful:
            self.acknowledged.add(id_)
        elif attempt.number > 1:
            self.failed_twice.add(id_)
