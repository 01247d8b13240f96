"""
The rate-limit governor: all processes together never make more requests than Intercom allows.

The account of an app in a workspace is kept in Redis by `governor.lua`; this module waits for its slots. While Redis is
unavailable each process makes a few requests a second, so work continues slowly.
"""

import random
import re
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from email.utils import parsedate_to_datetime
from importlib.resources import files
from typing import Any

import structlog
from redis import Redis
from redis.exceptions import ConnectionError, NoScriptError, RedisError  # noqa: A004 -- Redis's own

from intercom_api.errors import TransientError
from intercom_api.rate_limit.lanes import RETRY_POLICIES, WINDOW_SECONDS, Lane
from intercom_api.rate_limit.prefetched_slots import PrefetchedSlots
from settings.units import MS_PER_SECOND

log = structlog.get_logger()

KEY_PREFIX = "intercom-mirror:governor"

# Seconds. A waiting request tries again at the latest after this; slots left by then are not lost, since
# they accumulate. Below it, all waiting requests would try at the same time.
_LONGEST_SLEEP = 0.25
# Seconds, at most, that a waiting request sleeps in addition, so that not all wake up together.
_JITTER = 0.1

# Seconds between requests of one process while Redis is unavailable: ten processes then make 200 in a window, a ninth
# of what Intercom allows.
_FALLBACK_INTERVAL = 0.5
# Seconds before a Redis that failed is tried again; trying may itself take seconds.
_REDIS_PAUSE = 2.0

# Counts and unix seconds; a longer number is neither.
_NUMBER = re.compile(r"[0-9]{1,11}")


class Governor:
    """
    Grants slots: the permission to make one request. Safe for threads.

    Args:
        redis: where the account is kept; its time-outs bound how late an outage is noticed.
        sleep: sleeps so many seconds; tests pass another one.
    """

    def __init__(self, redis: Redis, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._redis = redis
        self._script = redis.register_script(files("intercom_api.rate_limit").joinpath("governor.lua").read_text())
        self._sleep = sleep
        self._prefetched = PrefetchedSlots()
        self._lock = threading.Lock()
        # By time.monotonic(): until when Redis is not tried, and when the next request may be made meanwhile.
        self._redis_retry_at = 0.0
        self._next_fallback_at = 0.0

    def acquire(self, app: str, workspace_id: str, lane: Lane, *, prefetched: bool = False) -> int | None:
        """
        Wait until a request may be made.

        1. Return a prefetched slot, if one may be used and there is one.
        2. Request a slot from Redis. While Redis is unavailable, wait for this process's own pace instead.
        3. If it is granted, return it; if the lane's time is up, raise.
        4. Sleep for the time that the script returns, at most a quarter of a second, and go on at step 2.

        Args:
            app: the client id.
            workspace_id: the workspace that the request goes to.
            lane: the request's priority.
            prefetched: use a prefetched slot if there is one.

        Returns:
            The slot, to be passed to `record_response`; None while Redis is unavailable.

        Raises:
            TransientError: other requests need the whole rate limit for longer than this lane waits.
        """
        if prefetched and (slot := self._prefetched.take((app, workspace_id))) is not None:
            return slot
        timeout = RETRY_POLICIES[lane].slot_timeout_seconds
        until = time.monotonic() + timeout
        while True:
            result = self._run(app, workspace_id, "take", int(lane))
            if result is None:
                self._wait_for_fallback(timeout)
                return None
            granted, number = (int(part) for part in result)
            if granted:
                return number
            seconds = number / MS_PER_SECOND
            if time.monotonic() > until:
                raise TransientError("Other requests use up Intercom's rate limit.", seconds, not_processed=True)
            self._sleep(min(seconds, _LONGEST_SLEEP - _JITTER) + random.uniform(0, _JITTER))  # noqa: S311 -- no secret

    def record_response(
        self,
        app: str,
        workspace_id: str,
        headers: Mapping[str, str] | None,
        *,
        slot: int | None = None,
        refused: bool = False,
        prefetch: bool = False,
    ) -> None:
        """
        Correct the account by a response.

        Args:
            app: as for `acquire`.
            workspace_id: as for `acquire`.
            headers: of the response; None if there was none.
            slot: what `acquire` returned for the request.
            refused: whether the status was 429.
            prefetch: also take the slot of the next request; see `intercom_api.rate_limit.prefetched_slots`.
        """
        received = headers or {}
        outcome = "" if headers is None else "refused" if refused else "answered"
        limit, remaining, reset = (
            _number(received.get(f"X-RateLimit-{name}")) for name in ("Limit", "Remaining", "Reset")
        )
        pause = _number(received.get("Retry-After"))
        date = _consistent_date(_unix_seconds(received.get("Date")), reset)
        pause_ms = None if pause is None else pause * MS_PER_SECOND
        values = (slot, limit, remaining, reset, date, outcome, pause_ms)
        arguments = ["" if value is None else value for value in values]
        if not prefetch:
            self._run(app, workspace_id, "record", *arguments)
            return
        account = app, workspace_id
        for expired in self._prefetched.remove_expired(account):
            self._run(app, workspace_id, "return", expired)
        command = "record and take" if self._prefetched.has_capacity(account) else "record"
        taken = self._run(app, workspace_id, command, *arguments)
        if taken is not None:
            self._prefetched.add(account, int(taken))

    def _run(self, app: str, workspace_id: str, *arguments: Any) -> Any:
        """Run the script; None while Redis is unavailable."""
        if time.monotonic() < self._redis_retry_at:
            return None
        try:
            return self._evaluate(f"{KEY_PREFIX}:{app}:{workspace_id}", arguments)
        except RedisError as error:
            self._redis_retry_at = time.monotonic() + _REDIS_PAUSE
            log.warning("Redis is unavailable; requests to Intercom are slowed down", error=type(error).__name__)
            return None

    def _evaluate(self, key: str, arguments: Sequence[Any]) -> Any:
        """
        Run the script on a connection taken from the pool: 0.06 ms of CPU, where the client's own method takes 0.10.

        The client's method remains for what it handles: a script that Redis no longer has, and a lost connection.
        """
        pool = self._redis.connection_pool
        try:
            connection: Any = pool.get_connection()
            try:
                connection.send_command("EVALSHA", self._script.sha, 1, key, *arguments)
                return connection.read_response()
            finally:
                pool.release(connection)
        except (NoScriptError, ConnectionError):
            return self._script(keys=[key], args=arguments)

    def _wait_for_fallback(self, timeout: float) -> None:
        with self._lock:
            now = time.monotonic()
            start = max(now, self._next_fallback_at)
            if start - now > timeout:
                raise TransientError(
                    "Redis is unavailable, and too many requests wait.", start - now, not_processed=True
                )
            self._next_fallback_at = start + _FALLBACK_INTERVAL
        self._sleep(start - now)


def _consistent_date(date: int | None, reset: int | None) -> int | None:
    """Return the date if `reset` can be by the same clock: a window ends within ten seconds."""
    return date if date is None or reset is None or 0 <= reset - date <= WINDOW_SECONDS else None


def _number(text: str | None) -> int | None:
    return int(text) if text and _NUMBER.fullmatch(text) else None


def _unix_seconds(date: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(date).timestamp()) if date else None
    except ValueError:
        return None
