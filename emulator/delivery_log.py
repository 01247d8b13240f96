"""Who was told what, and what the receiver answered: the books that a test compares with the tables."""

import threading
from collections import Counter
from dataclasses import dataclass, field

from emulator.emulated_notification import EmulatedNotification

# Intercom takes this answer as the wish to hear no more of the topic.
_GONE = 410
# The hundreds of the answers that Intercom takes for a success.
_SUCCESS = 2


@dataclass(frozen=True, slots=True)
class DeliveryAttempt:
    """One POST: `number` is 1 or 2 (the retry); `status` is None if no answer came in time; `seconds` it took."""

    notification: EmulatedNotification
    number: int
    status: int | None
    seconds: float

    @property
    def successful(self) -> bool:
        """Tell whether the receiver took the notification."""
        return self.status is not None and self.status // 100 == _SUCCESS


@dataclass
class DeliveryLog:
    """
    Sets of notification ids; a ping has none and is only counted.

    `answers` counts attempts by status (0: no answer in time). `dropped` are the ids that failed twice.
    """

    sent: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    lost: set[str] = field(default_factory=set)
    failed_twice: set[str] = field(default_factory=set)
    answers: Counter[int] = field(default_factory=Counter)
    switched_off: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    @property
    def dropped(self) -> set[str]:
        """The ids that failed twice and were never taken: Intercom forgets them."""
        with self._lock:
            return self.failed_twice - self.acknowledged

    def lose(self, notification: EmulatedNotification) -> None:
        """Note that a notification was never sent."""
        if notification.id is not None:
            with self._lock:
                self.lost.add(notification.id)

    def add(self, attempt: DeliveryAttempt) -> None:
        """Note an attempt and its answer."""
        with self._lock:
            self.answers[attempt.status or 0] += 1
            if attempt.status == _GONE:
                self.switched_off.add(attempt.notification.topic)
            if attempt.notification.id is not None:
                self._add_id(attempt.notification.id, attempt)

    def is_switched_off(self, topic: str) -> bool:
        """Tell whether the receiver answered 410 to this topic."""
        with self._lock:
            return topic in self.switched_off

    def _add_id(self, id_: str, attempt: DeliveryAttempt) -> None:
        self.sent.add(id_)
        if attempt.successful:
            self.acknowledged.add(id_)
        elif attempt.number > 1:
            self.failed_twice.add(id_)
