"""A log that nobody can flood from outside."""

import time

import structlog

log = structlog.get_logger()

# Lines in a second. Enough to see what a sender of ours does wrong; a flood of forged requests must neither fill the
# disk nor cost more than the refusals themselves.
MOST_LINES = 10


class SparingLog:
    """Warns at most MOST_LINES times a second, and then says how often it kept silent."""

    def __init__(self) -> None:
        self._second = 0
        self._lines = 0
        self._silent = 0

    def warning(self, event: str, **values: object) -> None:
        """Write a line, or count it; `unlogged` in the next line is how many were left out before it."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= MOST_LINES:
            self._silent += 1
            return
        self._lines += 1
        if self._silent:
            values["unlogged"], self._silent = self._silent, 0
        log.warning(event, **values)
