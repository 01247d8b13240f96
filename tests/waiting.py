"""Waiting for what another thread or process does."""

import time
from collections.abc import Callable

# Seconds between two looks: short against whatever is waited for.
_LOOK_SECONDS = 0.01


def wait_until(true: Callable[[], object], seconds: float = 10.0) -> None:
    """Look until it is so; fails after so many seconds, of which what is waited for needs a hundredth."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not so after {seconds} s"
        # Between two looks; the deadline decides, not this.
        time.sleep(_LOOK_SECONDS)
