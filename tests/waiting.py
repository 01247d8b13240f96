"""Waiting for a condition that another thread or process makes true."""

import time
from collections.abc import Callable

# Seconds between two checks: short compared to any wait.
_POLL_SECONDS = 0.01


def wait_until(condition: Callable[[], object], seconds: float = 10.0) -> None:
    """Wait until a condition is true; fails after `seconds`, which should be a hundred times what it usually takes."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"the condition is not true after {seconds} s"
        # The deadline decides, not this pause.
        time.sleep(_POLL_SECONDS)
