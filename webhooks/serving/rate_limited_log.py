"""A log that cannot be flooded by requests from outside."""

import time

import structlog

log = structlog.get_logger()

# Lines per second. Enough to see what a legitimate sender does wrong; a flood of forged requests must neither fill the
# disk nor cost more than refusing them does.
MAX_LINES = 10


class RateLimitedLog:
    """Logs at most MAX_LINES warnings per second, and then how many were left out."""

    def __init__(self) -> None:
        self._second = 0
        self._lines = 0
        self._unlogged = 0

    def warning(self, event: str, **values: object) -> None:
        """Write a line or count it; `unlogged` of the next line is the number of lines left out before it."""
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._lines = second, 0
        if self._lines >= MAX_LINES:
            self._unlogged += 1
            return
        self._lines += 1
        if self._unlogged:
            values["unlogged"], self._unlogged = self._unlogged, 0
        log.warning(event, **values)
