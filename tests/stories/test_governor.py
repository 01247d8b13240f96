"""All processes together make as many requests as Intercom allows, and no more."""

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
from tests.stories.rate_limited_server import WINDOW, RateLimitedServer, serving

APP, WORKSPACE = "an-app", "ws000001"
# Seconds until a condition must hold.
TIMEOUT = 20.0


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
    """The request would have to wait."""


class SlotTaker:
    """Takes slots without making requests; it stops instead of waiting."""

    def __init__(self, redis: Redis) -> None:
        self.governor = Governor(redis, sleep=self._stop)

    def _stop(self, _: float) -> None:
        raise WaitingError

    def take(self, lane: Lane, limit: int = 1000) -> int:
        """Return how many slots are granted without waiting."""
        for count in range(limit):
            try:
                self.governor.acquire(APP, WORKSPACE, lane)
            except WaitingError:
                return count
        return limit

    def record_response(self, received: dict[str, str] | None, **rest: Any) -> None:
        self.governor.record_response(APP, WORKSPACE, received, **rest)


def test_many_clients_use_the_whole_limit_and_are_never_refused(redis_url: str) -> None:
    """Two full windows, eight clients that share only Redis, and a server with another clock."""
    with serving(RateLimitedServer(limit=100, ends_in=2, ahead=-37)) as server:
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


def test_the_first_request_learns_the_limit(redis: Redis) -> None:
    """Until a response has the limit, further requests wait."""
    taker = SlotTaker(redis)
    assert taker.take(Lane.BACKFILL) == 1
    taker.record_response(headers(100, 99), slot=1)
    assert taker.take(Lane.BACKFILL) > 5


def test_a_response_without_headers_means_the_documented_limit(redis: Redis) -> None:
    """A sixth of 10,000 a minute in ten seconds."""
    taker = SlotTaker(redis)
    taker.take(Lane.BACKFILL)
    taker.record_response({}, slot=1)
    assert taker.take(Lane.INTERACTIVE, 2000) == 1665


def test_requests_of_other_programs_count(redis: Redis) -> None:
    """The headers count all requests, including those of other programs."""
    taker = SlotTaker(redis)
    taker.take(Lane.INTERACTIVE, 1)
    taker.record_response(headers(100, 10), slot=1)
    assert taker.take(Lane.INTERACTIVE) == 10


def test_a_lower_lane_leaves_slots_in_the_window(redis: Redis) -> None:
    """Its slots are spread over the window, and it never uses the reserve for users."""
    taker = SlotTaker(redis)
    taker.take(Lane.INTERACTIVE, 1)
    taker.record_response(headers(100, 99, ends_in=10), slot=1)
    taken = taker.take(Lane.BACKFILL)
    assert taken <= 30
    assert taker.take(Lane.INTERACTIVE) == 99 - taken


def test_a_waiting_higher_lane_goes_first(redis: Redis) -> None:
    """While a higher lane waits, a lower one gets no slot."""
    taker = SlotTaker(redis)
    taker.take(Lane.INTERACTIVE, 1)
    taker.record_response(headers(100, 99, ends_in=10), slot=1)
    assert taker.take(Lane.REFETCH) > 0
    redis.hset(_key(), "own", "0")
    assert taker.take(Lane.BACKFILL) == 0
    assert taker.take(Lane.RECONCILE) == 0
    assert taker.take(Lane.REFETCH) > 0
    assert taker.take(Lane.INTERACTIVE, 5) == 5


@pytest.mark.parametrize("received", [{}, headers(100, 50), {"Retry-After": "5"}])
def test_a_refusal_counts_whatever_the_headers(redis: Redis, received: dict[str, str]) -> None:
    """No header overrides a 429."""
    taker = SlotTaker(redis)
    taker.take(Lane.INTERACTIVE, 1)
    taker.record_response(received, slot=1, refused=True)
    assert taker.take(Lane.INTERACTIVE) == 0


def test_after_a_refusal_no_slot_is_granted_until_the_window_ends(redis: Redis) -> None:
    """In all lanes."""
    taker = SlotTaker(redis)
    taker.take(Lane.INTERACTIVE, 1)
    taker.record_response(headers(100, 0, ends_in=3), slot=1, refused=True)
    assert taker.take(Lane.INTERACTIVE) == 0
    began = time.monotonic()
    Governor(redis).acquire(APP, WORKSPACE, Lane.INTERACTIVE)
    assert 1 < time.monotonic() - began < 5


def test_requests_in_flight_count_in_the_next_window(redis: Redis) -> None:
    """Intercom may count them in either window."""
    taker = SlotTaker(redis)
    taker.take(Lane.INTERACTIVE, 1)
    taker.record_response(headers(100, 99, ends_in=2), slot=1)
    assert taker.take(Lane.INTERACTIVE, 40) == 40
    _wait_for(lambda: _rolled(taker, redis) == 2)
    assert redis.hget(_key(), "own") == b"40"
    before = headers(100, 59, ends_in=0)
    taker.record_response(before | {"X-RateLimit-Reset": _field(redis, "past")}, slot=1)
    assert redis.hget(_key(), "own") == b"39"


def test_each_workspace_has_its_own_limit(redis: Redis) -> None:
    """A refusal in one does not affect another."""
    taker = SlotTaker(redis)
    taker.take(Lane.INTERACTIVE, 1)
    taker.record_response(headers(100, 0), slot=1, refused=True)
    assert taker.governor.acquire(APP, "another", Lane.BACKFILL) == 1


def test_acquire_times_out(redis: Redis) -> None:
    """The error has the time to wait."""
    governor = Governor(redis)
    slot = governor.acquire(APP, WORKSPACE, Lane.REFETCH)
    governor.record_response(APP, WORKSPACE, headers(100, 0, ends_in=9), slot=slot, refused=True)
    with pytest.raises(TransientError) as caught:
        governor.acquire(APP, WORKSPACE, Lane.REFETCH)
    assert caught.value.not_processed
    assert caught.value.retry_after_seconds > 1


def test_without_redis_requests_are_slowed_down() -> None:
    """Each process makes two a second."""
    slept: list[float] = []
    governor = Governor(Redis(unix_socket_path="/nowhere/valkey.sock", retry=Retry(NoBackoff(), 0)), sleep=slept.append)
    for _ in range(4):
        assert governor.acquire(APP, WORKSPACE, Lane.INTERACTIVE) is None
        governor.record_response(APP, WORKSPACE, headers(100, 99))
    assert slept[0] < 0.1
    assert slept[3] > 1.2


def test_a_restored_redis_is_used_again(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """The account continues."""
    slept: list[float] = []
    governor = Governor(redis, sleep=slept.append)
    with monkeypatch.context() as broken:
        broken.setattr(governor, "_evaluate", _unavailable)
        assert governor.acquire(APP, WORKSPACE, Lane.BACKFILL) is None
    monkeypatch.setattr(governor, "_redis_retry_at", 0.0)
    assert governor.acquire(APP, WORKSPACE, Lane.BACKFILL) == 1


def _unavailable(*_: Any) -> None:
    raise RedisConnectionError


def test_a_missing_script_is_loaded_again(redis: Redis) -> None:
    """Redis loses scripts at a restart; requests are not slowed down."""
    governor = Governor(redis)
    assert governor.acquire(APP, WORKSPACE, Lane.BACKFILL) == 1
    redis.script_flush()
    assert governor.acquire(APP, WORKSPACE, Lane.BACKFILL) == 1
    redis.connection_pool.disconnect()
    assert governor.acquire(APP, WORKSPACE, Lane.BACKFILL) == 1


def test_an_idle_account_expires(redis: Redis) -> None:
    """Nothing is kept of workspaces without requests."""
    SlotTaker(redis).take(Lane.BACKFILL, 1)
    assert 0 < int(str(redis.pttl(_key()))) <= 600_000


def _rolled(taker: SlotTaker, redis: Redis) -> int:
    """Let the account check the time, and return the number of its window."""
    taker.record_response(None)
    return int(_field(redis, "seq"))


def _field(redis: Redis, name: str) -> str:
    return cast("bytes", redis.hget(_key(), name)).decode()


def _key() -> str:
    return f"{KEY_PREFIX}:{APP}:{WORKSPACE}"


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < deadline
        # Between two checks; the deadline decides.
        time.sleep(0.05)
