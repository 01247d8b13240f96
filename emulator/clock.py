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


class ShiftedClock:
    """
    Another clock, moved on: `shift_ms` may be changed while it is read, so that a test need not wait for a day.

    Args:
        base: what it is ahead of.
    """

    def __init__(self, base: Clock) -> None:
        self._base = base
        self.shift_ms = 0

    def __call__(self) -> int:  # noqa: D102 -- the class says it
        return self._base() + self.shift_ms
