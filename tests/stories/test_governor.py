"""All processes together use what Intercom allows, and no more."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any, cast

import pytest
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.retry import Retry

from intercom_api.errors import TransientError
from intercom_api.http.client import IntercomClient
from intercom_api.rate_limit.governor import KEY_PREFIX, Governor
from intercom_api.rate_limit.lanes import Lane
from tests.stories.limited import WINDOW, Limited, serving

APP, WORKSPACE = "an-app", "ws000001"
# Seconds that a test waits for calls that must come through.
SOON = 20.0


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def client_of(governor: Governor, url: str, lane: Lane = Lane.BACKFILL) -> IntercomClient:
    return IntercomClient("a-token", url, version="2.16", governor=governor, app=APP, workspace_id=WORKSPACE, lane=lane)


def headers(limit: int, remaining: int, ends_in: float = 8.0) -> dict[str, str]:
    now = time.time()
    return {
        "X-RateLimit-Limit": str(limit),
        "X-RateLimit-Remaining": str(remaining),
        "X-RateLimit-Reset": str(int(now + ends_in)),
        "Date": formatdate(now, usegmt=True),
    }


class WaitingError(Exception):
    """The call may not go yet."""


class Asker:
    """Takes permits without calling anybody; a wait ends the taking instead of taking time."""

    def __init__(self, redis: Redis) -> None:
        self.governor = Governor(redis, sleep=self._stop)

    def _stop(self, _: float) -> None:
        raise WaitingError

    def take(self, lane: Lane, most: int = 1000) -> int:
        """Return how many calls may go at once."""
        for count in range(most):
            try:
                self.governor.acquire(APP, WORKSPACE, lane)
            except WaitingError:
                return count
        return most

    def record_response(self, told: dict[str, str] | None, **rest: Any) -> None:
        self.governor.record_response(APP, WORKSPACE, told, **rest)


def test_many_callers_use_the_allowance_and_are_never_refused(redis_url: str) -> None:
    """Two full windows, with eight callers that share nothing but Redis, and an Intercom whose clock is not ours."""
    with serving(Limited(limit=100, ends_in=2, ahead=-37)) as server:
        first = server.window()
        until = time.monotonic() + 2 + 2 * WINDOW + 0.5

        def work(number: int) -> None:
            with Redis.from_url(redis_url) as mine:
                client = client_of(Governor(mine), server.url)
                while time.monotonic() < until:
                    client.tag(str(number))

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(work, range(8)))
    assert server.refused == 0
    full = [server.counted[first + WINDOW], server.counted[first + 2 * WINDOW]]
    assert min(full) >= 90, full


def test_one_call_asks_for_the_limit_before_the_others_go(redis: Redis) -> None:
    """Nobody knows how small it is."""
    asker = Asker(redis)
    assert asker.take(Lane.BACKFILL) == 1
    asker.record_response(headers(100, 99), slot=1)
    assert asker.take(Lane.BACKFILL) > 5


def test_an_answer_without_headers_means_the_documented_limit(redis: Redis) -> None:
    """A sixth of 10,000 a minute in ten seconds."""
    asker = Asker(redis)
    asker.take(Lane.BACKFILL)
    asker.record_response({}, slot=1)
    assert asker.take(Lane.INTERACTIVE, 2000) == 1665


def test_what_others_used_is_not_used_again(redis: Redis) -> None:
    """The headers tell of all calls, also of those that we did not make."""
    asker = Asker(redis)
    asker.take(Lane.INTERACTIVE, 1)
    asker.record_response(headers(100, 10), slot=1)
    assert asker.take(Lane.INTERACTIVE) == 10


def test_a_lower_lane_leaves_room_in_the_window(redis: Redis) -> None:
    """It goes at the window's own pace, and never takes what is kept for users."""
    asker = Asker(redis)
    asker.take(Lane.INTERACTIVE, 1)
    asker.record_response(headers(100, 99, ends_in=10), slot=1)
    taken = asker.take(Lane.BACKFILL)
    assert taken <= 30
    assert asker.take(Lane.INTERACTIVE) == 99 - taken


def test_whoever_waits_above_goes_first(redis: Redis) -> None:
    """While a higher lane waits, a lower one takes nothing of what becomes free."""
    asker = Asker(redis)
    asker.take(Lane.INTERACTIVE, 1)
    asker.record_response(headers(100, 99, ends_in=10), slot=1)
    assert asker.take(Lane.REFETCH) > 0
    redis.hset(_key(), "own", "0")
    assert asker.take(Lane.BACKFILL) == 0
    assert asker.take(Lane.RECONCILE) == 0
    assert asker.take(Lane.REFETCH) > 0
    assert asker.take(Lane.INTERACTIVE, 5) == 5


@pytest.mark.parametrize("told", [{}, headers(100, 50), {"Retry-After": "5"}])
def test_a_refusal_is_believed_whatever_else_the_answer_says(redis: Redis, told: dict[str, str]) -> None:
    """No header gives leave to go on."""
    asker = Asker(redis)
    asker.take(Lane.INTERACTIVE, 1)
    asker.record_response(told, slot=1, refused=True)
    assert asker.take(Lane.INTERACTIVE) == 0


def test_after_a_refusal_nobody_calls_until_the_window_ends(redis: Redis) -> None:
    """No lane, however urgent."""
    asker = Asker(redis)
    asker.take(Lane.INTERACTIVE, 1)
    asker.record_response(headers(100, 0, ends_in=3), slot=1, refused=True)
    assert asker.take(Lane.INTERACTIVE) == 0
    began = time.monotonic()
    Governor(redis).acquire(APP, WORKSPACE, Lane.INTERACTIVE)
    assert 1 < time.monotonic() - began < 5


def test_calls_on_their_way_at_the_end_of_a_window_count_in_the_next(redis: Redis) -> None:
    """Intercom may count them in either."""
    asker = Asker(redis)
    asker.take(Lane.INTERACTIVE, 1)
    asker.record_response(headers(100, 99, ends_in=2), slot=1)
    assert asker.take(Lane.INTERACTIVE, 40) == 40
    _wait_for(lambda: _rolled(asker, redis) == 2)
    assert redis.hget(_key(), "own") == b"40"
    before = headers(100, 59, ends_in=0)
    asker.record_response(before | {"X-RateLimit-Reset": _field(redis, "past")}, slot=1)
    assert redis.hget(_key(), "own") == b"39"


def test_the_allowance_of_one_workspace_is_not_that_of_another(redis: Redis) -> None:
    """Each has an account of its own."""
    asker = Asker(redis)
    asker.take(Lane.INTERACTIVE, 1)
    asker.record_response(headers(100, 0), slot=1, refused=True)
    assert asker.governor.acquire(APP, "another", Lane.BACKFILL) == 1


def test_a_lane_does_not_wait_for_ever(redis: Redis) -> None:
    """The caller tries later."""
    governor = Governor(redis)
    slot = governor.acquire(APP, WORKSPACE, Lane.REFETCH)
    governor.record_response(APP, WORKSPACE, headers(100, 0, ends_in=9), slot=slot, refused=True)
    with pytest.raises(TransientError) as caught:
        governor.acquire(APP, WORKSPACE, Lane.REFETCH)
    assert caught.value.not_processed
    assert caught.value.retry_after_seconds > 1


def test_without_redis_calls_go_on_slowly() -> None:
    """Two a second, rather than none."""
    slept: list[float] = []
    governor = Governor(Redis(unix_socket_path="/nowhere/valkey.sock", retry=Retry(NoBackoff(), 0)), sleep=slept.append)
    for _ in range(4):
        assert governor.acquire(APP, WORKSPACE, Lane.INTERACTIVE) is None
        governor.record_response(APP, WORKSPACE, headers(100, 99))
    assert slept[0] < 0.1
    assert slept[3] > 1.2


def test_redis_that_came_back_is_asked_again(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account goes on where it was."""
    slept: list[float] = []
    governor = Governor(redis, sleep=slept.append)
    with monkeypatch.context() as broken:
        broken.setattr(governor, "_evaluate", _away)
        assert governor.acquire(APP, WORKSPACE, Lane.BACKFILL) is None
    monkeypatch.setattr(governor, "_redis_retry_at", 0.0)
    assert governor.acquire(APP, WORKSPACE, Lane.BACKFILL) == 1


def _away(*_: Any) -> None:
    raise RedisConnectionError


def test_a_script_that_redis_forgot_is_told_again(redis: Redis) -> None:
    """It forgets them when it starts anew; nobody is slowed down for it."""
    governor = Governor(redis)
    assert governor.acquire(APP, WORKSPACE, Lane.BACKFILL) == 1
    redis.script_flush()
    assert governor.acquire(APP, WORKSPACE, Lane.BACKFILL) == 1
    redis.connection_pool.disconnect()
    assert governor.acquire(APP, WORKSPACE, Lane.BACKFILL) == 1


def test_an_idle_account_is_forgotten(redis: Redis) -> None:
    """Nothing is kept of workspaces that nobody calls."""
    Asker(redis).take(Lane.BACKFILL, 1)
    assert 0 < int(str(redis.pttl(_key()))) <= 600_000


def _rolled(asker: Asker, redis: Redis) -> int:
    """Return the number of the window, once the account has looked at the clock."""
    asker.record_response(None)
    return int(_field(redis, "seq"))


def _field(redis: Redis, name: str) -> str:
    return cast("bytes", redis.hget(_key(), name)).decode()


def _key() -> str:
    return f"{KEY_PREFIX}:{APP}:{WORKSPACE}"


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SOON
    while not condition():
        assert time.monotonic() < deadline
        # Between two looks; the deadline decides.
        time.sleep(0.05)
