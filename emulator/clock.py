"""Clocks: functions without arguments that return milliseconds since 1970 UTC."""

import time
from collections.abc import Callable

Clock = Callable[[], int]

_NS_PER_MS = 1_000_000


def system_clock() -> int:
    """Return the machine's time."""
    return time.time_ns() // _NS_PER_MS


class ManualClock:
    """
    A clock that only moves when it is advanced, so that a history is the same on every run.

    Attributes:
        now: milliseconds since 1970 UTC.
    """

    def __init__(self, now: int) -> None:
        self.now = now

    def __call__(self) -> int:
        """Return the time."""
        return self.now

    def advance(self, milliseconds: int) -> None:
        """Advance the clock; a negative number sets it back, as happens to real clocks."""
        self.now += milliseconds


class ShiftedClock:
    """
    A clock at a distance from another one, so that a test need not wait for a day.

    Args:
        base: the other clock.

    Attributes:
        shift_ms: how far this clock is ahead; it may change at any time.
    """

    def __init__(self, base: Clock) -> None:
        self._base = base
        self.shift_ms = 0

    def __call__(self) -> int:
        """Return the time."""
        return self._base() + self.shift_ms
