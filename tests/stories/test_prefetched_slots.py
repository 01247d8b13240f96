"""A slot for the next request is prefetched, and counts like any other slot."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis

from intercom_api.rate_limit import prefetched_slots
from intercom_api.rate_limit.governor import Governor
from intercom_api.rate_limit.lanes import Lane
from tests.stories.rate_limited_server import WINDOW, RateLimitedServer, serving
from tests.stories.test_governor import APP, WORKSPACE, SlotTaker, _field, _unavailable, client_of, headers, redis

__all__ = ["redis"]


def take_and_record(taker: SlotTaker, redis: Redis) -> None:
    """Take a slot, and record its response with a prefetch."""
    assert taker.take(Lane.INTERACTIVE, 1) == 1
    taker.record_response(headers(100, 99), slot=int(_field(redis, "seq")), prefetch=True)


def counted(redis: Redis) -> tuple[int, int]:
    """Return the requests that the account counts in this window, and those in flight."""
    return int(_field(redis, "own")), int(_field(redis, f"o:{_field(redis, 'seq')}"))


def test_the_next_request_uses_the_prefetched_slot(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once; the request after it calls Redis."""
    taker = SlotTaker(redis)
    take_and_record(taker, redis)
    assert counted(redis) == (2, 1)
    with monkeypatch.context() as broken:
        broken.setattr(taker.governor, "_evaluate", _unavailable)
        assert taker.governor.acquire(APP, WORKSPACE, Lane.INTERACTIVE, prefetched=True) == int(_field(redis, "seq"))
    assert taker.governor.acquire(APP, WORKSPACE, Lane.INTERACTIVE, prefetched=True) is not None
    assert counted(redis) == (3, 2)


def test_a_prefetched_slot_is_for_interactive_requests_of_its_workspace(redis: Redis) -> None:
    """A backfill does not use it, nor does another workspace."""
    taker = SlotTaker(redis)
    take_and_record(taker, redis)
    taker.governor.acquire(APP, WORKSPACE, Lane.INTERACTIVE)
    assert counted(redis) == (3, 2)
    taker.governor.acquire(APP, "ws000002", Lane.INTERACTIVE, prefetched=True)
    assert taker.governor._prefetched.take((APP, WORKSPACE)) is not None


def test_an_expired_slot_is_returned(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not used, and the next response returns it to the account."""
    taker = SlotTaker(redis)
    take_and_record(taker, redis)
    monkeypatch.setattr(prefetched_slots, "_MAX_AGE_SECONDS", -1.0)
    taker.governor._prefetched.add((APP, WORKSPACE), taker.governor._prefetched.take((APP, WORKSPACE)) or 0)
    assert taker.governor.acquire(APP, WORKSPACE, Lane.INTERACTIVE, prefetched=True) is not None
    assert counted(redis) == (3, 2)
    monkeypatch.setattr(prefetched_slots, "_MAX_AGE_SECONDS", 60.0)
    taker.record_response(headers(100, 98), slot=int(_field(redis, "seq")), prefetch=True)
    # Two requests were made, and one slot is prefetched again.
    assert counted(redis) == (3, 1)


def test_no_slot_is_prefetched_beyond_the_limit(redis: Redis) -> None:
    """Neither after a refusal nor beyond the maximum per account."""
    taker = SlotTaker(redis)
    assert taker.take(Lane.INTERACTIVE, 1) == 1
    taker.record_response(headers(100, 0), slot=1, refused=True, prefetch=True)
    assert taker.governor._prefetched.take((APP, WORKSPACE)) is None
    redis.flushall()
    for _ in range(prefetched_slots._MAX_SLOTS + 3):
        take_and_record(taker, redis)
    held = [taker.governor._prefetched.take((APP, WORKSPACE)) for _ in range(prefetched_slots._MAX_SLOTS + 3)]
    assert [each is not None for each in held].count(True) == prefetched_slots._MAX_SLOTS


def test_forwarded_requests_use_the_limit_and_are_never_refused(redis_url: str) -> None:
    """Four governors with a few threads each."""
    with serving(RateLimitedServer(limit=60, ends_in=2)) as server:
        first = server.window()
        until = time.monotonic() + 2 + WINDOW + 0.5

        def work(governor: Governor) -> None:
            client = client_of(governor, server.url, Lane.INTERACTIVE)
            while time.monotonic() < until:
                response: Any = client.forward("GET", "/tags/1", "", {}, None)
                response.read()
                response.record_response()

        with Redis.from_url(redis_url) as one, Redis.from_url(redis_url) as two, ThreadPoolExecutor(8) as pool:
            list(pool.map(work, [Governor(each) for each in (one, two) for _ in range(2)] * 2))
    assert server.refused == 0
    assert server.counted[first + WINDOW] >= 54, server.counted
