"""
Calls that were let through ahead of time, for whoever calls next on a user's behalf.

Whoever makes one call mostly makes another. While its answer is on its way to them, the next call's place in the
allowance is asked for together with what is told of the last one, so that they need not wait for Redis then.
"""

import time
from threading import Lock

# Seconds that a permit is good for. It counts as a call that is on its way meanwhile, so others go without it; and
# after a refusal (429) it is the time for which somebody may still not know.
_GOOD_SECONDS = 0.5
# Permits of one account that are held; more would only serve more calls at a time, which have less to wait for.
_MOST = 4
# Accounts; beyond, all is forgotten, and those permits count as calls whose answer is missing for a minute.
_MOST_ACCOUNTS = 4096

Account = tuple[str, str]


class Permits:
    """Of one process. Safe for threads; an account is an app and a workspace, a permit the number of its window."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._held: dict[Account, list[tuple[int, float]]] = {}

    def take(self, account: Account) -> int | None:
        """Return a permit that is still good; None where there is none."""
        with self._lock:
            held = self._held.get(account)
            if not held or held[-1][1] < time.monotonic():
                return None
            return held.pop()[0]

    def wanted(self, account: Account) -> bool:
        """Tell whether there is room for one more."""
        with self._lock:
            return len(self._held.get(account, ())) < _MOST

    def put(self, account: Account, slot: int) -> None:
        """Keep one."""
        with self._lock:
            if len(self._held) >= _MOST_ACCOUNTS:
                self._held.clear()
            self._held.setdefault(account, []).append((slot, time.monotonic() + _GOOD_SECONDS))

    def spoilt(self, account: Account) -> list[int]:
        """Return those that are good no more, to be given back, and keep the others."""
        now = time.monotonic()
        with self._lock:
            held = self._held.pop(account, [])
            good = [each for each in held if each[1] >= now]
            if good:
                self._held[account] = good
            return [slot for slot, until in held if until < now]
