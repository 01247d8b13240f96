"""The next call's place is asked for while nobody waits, and counts like any other call."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from redis import Redis

from intercom_api.rate_limit import prefetched_slots
from intercom_api.rate_limit.governor import Governor
from intercom_api.rate_limit.lanes import Lane
from tests.stories.limited import WINDOW, Limited, serving
from tests.stories.test_governor import APP, WORKSPACE, Asker, _away, _field, client_of, headers, redis

__all__ = ["redis"]


def learned(asker: Asker, redis: Redis) -> None:
    """Have a call made, and its answer learned from with the next one in mind."""
    assert asker.take(Lane.INTERACTIVE, 1) == 1
    asker.record_response(headers(100, 99), slot=int(_field(redis, "seq")), prefetch=True)


def counted(redis: Redis) -> tuple[int, int]:
    """Return how many calls the account counts in this window, and how many are on their way."""
    return int(_field(redis, "own")), int(_field(redis, f"o:{_field(redis, 'seq')}"))


def test_whoever_calls_next_waits_for_nothing(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """Once: the one after has to ask."""
    asker = Asker(redis)
    learned(asker, redis)
    assert counted(redis) == (2, 1)
    with monkeypatch.context() as broken:
        broken.setattr(asker.governor, "_evaluate", _away)
        assert asker.governor.acquire(APP, WORKSPACE, Lane.INTERACTIVE, prefetched=True) == int(_field(redis, "seq"))
    assert asker.governor.acquire(APP, WORKSPACE, Lane.INTERACTIVE, prefetched=True) is not None
    assert counted(redis) == (3, 2)


def test_only_who_wants_one_gets_one(redis: Redis) -> None:
    """A backfill does not call with a user's right of way; nor does another workspace with this one's."""
    asker = Asker(redis)
    learned(asker, redis)
    asker.governor.acquire(APP, WORKSPACE, Lane.INTERACTIVE)
    assert counted(redis) == (3, 2)
    asker.governor.acquire(APP, "ws000002", Lane.INTERACTIVE, prefetched=True)
    assert asker.governor._prefetched.take((APP, WORKSPACE)) is not None


def test_what_nobody_used_in_time_is_given_back(redis: Redis, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not used later, and with the next answer the account has it again."""
    asker = Asker(redis)
    learned(asker, redis)
    monkeypatch.setattr(prefetched_slots, "_MAX_AGE_SECONDS", -1.0)
    asker.governor._prefetched.add((APP, WORKSPACE), asker.governor._prefetched.take((APP, WORKSPACE)) or 0)
    assert asker.governor.acquire(APP, WORKSPACE, Lane.INTERACTIVE, prefetched=True) is not None
    assert counted(redis) == (3, 2)
    monkeypatch.setattr(prefetched_slots, "_MAX_AGE_SECONDS", 60.0)
    asker.record_response(headers(100, 98), slot=int(_field(redis, "seq")), prefetch=True)
    # Two calls were made, and one is held again.
    assert counted(redis) == (3, 1)


def test_nothing_is_taken_ahead_where_nothing_may_go(redis: Redis) -> None:
    """Neither after a refusal, nor from an allowance that is used up; and a few at most."""
    asker = Asker(redis)
    assert asker.take(Lane.INTERACTIVE, 1) == 1
    asker.record_response(headers(100, 0), slot=1, refused=True, prefetch=True)
    assert asker.governor._prefetched.take((APP, WORKSPACE)) is None
    redis.flushall()
    for _ in range(prefetched_slots._MAX_SLOTS + 3):
        learned(asker, redis)
    held = [asker.governor._prefetched.take((APP, WORKSPACE)) for _ in range(prefetched_slots._MAX_SLOTS + 3)]
    assert [each is not None for each in held].count(True) == prefetched_slots._MAX_SLOTS


def test_calls_that_are_passed_on_use_the_allowance_and_are_never_refused(redis_url: str) -> None:
    """By four processes with a few threads each."""
    with serving(Limited(limit=60, ends_in=2)) as server:
        first = server.window()
        until = time.monotonic() + 2 + WINDOW + 0.5

        def work(governor: Governor) -> None:
            client = client_of(governor, server.url, Lane.INTERACTIVE)
            while time.monotonic() < until:
                passed: Any = client.forward("GET", "/tags/1", "", {}, None)
                passed.read()
                passed.record_response()

        with Redis.from_url(redis_url) as one, Redis.from_url(redis_url) as two, ThreadPoolExecutor(8) as pool:
            list(pool.map(work, [Governor(each) for each in (one, two) for _ in range(2)] * 2))
    assert server.refused == 0
    assert server.counted[first + WINDOW] >= 54, server.counted
