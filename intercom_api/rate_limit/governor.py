"""
The governor: all processes together never call Intercom more often than it allows.

The account is kept in Redis, one for each app in each workspace, by `governor.lua`; here is what waits for it. Where
Redis is away, each process lets a few calls a second through, so that work goes on slowly.
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
from intercom_api.rate_limit.lanes import RETRY_POLICIES, Lane
from intercom_api.rate_limit.prefetched_slots import Permits
from settings.units import MS_PER_SECOND

log = structlog.get_logger()

KEY_PREFIX = "intercom-mirror:governor"

# Seconds. A call that has to wait asks again at the latest after this; what was left over by then is not lost, as the
# allowance adds up. Below it, all that wait would ask at the same time.
_LONGEST_SLEEP = 0.25
# Seconds that a waiting call sleeps longer than it was told, at most, so that not all wake up together.
_JITTER = 0.1

# Seconds between calls of one process while Redis is away: with ten processes still a ninth of what Intercom allows.
_SLOWLY = 0.5
# Seconds before a Redis that failed is asked again; asking may itself take seconds.
_REDIS_PAUSE = 2.0

# Seconds; see `governor.lua`.
_WINDOW_SECONDS = 10

# Counts and unix seconds; what is longer is neither.
_NUMBER = re.compile(r"[0-9]{1,11}")


class Governor:
    """
    Lets calls through, one by one. Safe for threads.

    Args:
        redis: where the account is kept; its time-outs bound how long an outage is noticed late.
        sleep: seconds to wait; tests pass another one.
    """

    def __init__(self, redis: Redis, *, sleep: Callable[[float], None] = time.sleep) -> None:
        self._redis = redis
        self._script = redis.register_script(files("intercom_api.rate_limit").joinpath("governor.lua").read_text())
        self._sleep = sleep
        self._permits = Permits()
        self._lock = threading.Lock()
        # By time.monotonic(): until when Redis is left alone, and when the next call may go meanwhile.
        self._away_until = 0.0
        self._next_call = 0.0

    def acquire(self, app: str, workspace_id: str, lane: Lane, *, ahead: bool = False) -> int | None:
        """
        Return when a call may be made now; with `ahead` that may have been found out before.

        Returns:
            What `record_response` wants to know about this call; None if Redis does not know of it.

        Raises:
            TransientError: others need the whole allowance for longer than this lane waits.
        """
        if ahead and (held := self._permits.take((app, workspace_id))) is not None:
            return held
        patience = RETRY_POLICIES[lane].slot_timeout_seconds
        until = time.monotonic() + patience
        while True:
            answer = self._run(app, workspace_id, "take", int(lane))
            if answer is None:
                self._go_slowly(patience)
                return None
            granted, number = (int(part) for part in answer)
            if granted:
                return number
            if time.monotonic() > until:
                raise TransientError(
                    "Intercom's allowance is used up by other calls.", number / MS_PER_SECOND, not_processed=True
                )
            self._sleep(min(number / MS_PER_SECOND, _LONGEST_SLEEP - _JITTER) + random.uniform(0, _JITTER))  # noqa: S311 -- no secret

    def record_response(
        self,
        app: str,
        workspace_id: str,
        headers: Mapping[str, str] | None,
        *,
        slot: int | None = None,
        refused: bool = False,
        ahead: bool = False,
    ) -> None:
        """
        Correct the account by an answer; with `ahead` also ask for the next call's place.

        See `intercom_api.rate_limit.prefetched_slots`.

        Args:
            app: as for `acquire`.
            workspace_id: as for `acquire`.
            headers: of the answer; None if there was none.
            permit: what `acquire` returned for the call.
            refused: whether the answer was 429.
        """
        told = headers or {}
        outcome = "" if headers is None else "refused" if refused else "answered"
        numbers = [_number(told.get(f"X-RateLimit-{name}")) for name in ("Limit", "Remaining", "Reset")]
        pause = _number(told.get("Retry-After"))
        date = _consistent(_seconds(told.get("Date")), numbers[2])
        said = [slot, *numbers, date, outcome, None if pause is None else pause * MS_PER_SECOND]
        arguments = ["" if value is None else value for value in said]
        if not ahead:
            self._run(app, workspace_id, "learn", *arguments)
            return
        for spoilt in self._permits.spoilt((app, workspace_id)):
            self._run(app, workspace_id, "back", spoilt)
        wanted = self._permits.wanted((app, workspace_id))
        taken = self._run(app, workspace_id, "learn and take" if wanted else "learn", *arguments)
        if taken is not None:
            self._permits.put((app, workspace_id), int(taken))

    def _run(self, app: str, workspace_id: str, *arguments: Any) -> Any:
        """Run the script; None where Redis is away, which `record_response` does not mind."""
        if time.monotonic() < self._away_until:
            return None
        try:
            return self._at_once(f"{KEY_PREFIX}:{app}:{workspace_id}", arguments)
        except RedisError as error:
            self._away_until = time.monotonic() + _REDIS_PAUSE
            log.warning("Redis is away; Intercom is called slowly", error=type(error).__name__)
            return None

    def _at_once(self, key: str, arguments: Sequence[Any]) -> Any:
        """
        Run the script on a connection that is taken by hand: 0.06 ms of CPU, where the client's own way takes 0.10.

        What that way heals is left to it: a script that Redis forgot, and a connection that is gone.
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

    def _go_slowly(self, patience: float) -> None:
        with self._lock:
            now = time.monotonic()
            mine = max(now, self._next_call)
            if mine - now > patience:
                raise TransientError("Redis is away, and too many calls wait.", mine - now, not_processed=True)
            self._next_call = mine + _SLOWLY
        self._sleep(mine - now)


def _consistent(date: int | None, reset: int | None) -> int | None:
    """Return the date if its clock can be the one that `reset` goes by: a window ends inside ten seconds."""
    return date if date is None or reset is None or 0 <= reset - date <= _WINDOW_SECONDS else None


def _number(text: str | None) -> int | None:
    return int(text) if text and _NUMBER.fullmatch(text) else None


def _seconds(date: str | None) -> int | None:
    try:
        return int(parsedate_to_datetime(date).timestamp()) if date else None
    except ValueError:
        return None
