"""Where the pretend workspace gets the time from: milliseconds since 1970 UTC, as a function without arguments."""

import time
from collections.abc import Callable

Clock = Callable[[], int]


def system_clock() -> int:
    """Return the machine's time."""
    return time.time_ns() // 1_000_000


class ManualClock:
    """
    A clock that stands still until it is told to move, so that a history is the same on every run.

    `now` is in milliseconds since 1970 UTC.
    """

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:  # noqa: D102 -- the class says it
        return self.now

    def advance(self, milliseconds: int) -> None:
        """Move on; a negative number moves back, as a badly kept clock would."""
        self.now += milliseconds
