"""One at a time, unless the one has died."""

from collections.abc import Iterator

import pytest
from redis import Redis

from workers.runtime.redis_lock import try_lock

NAME = "something"


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def test_the_second_is_told_and_the_next_is_let_in(redis: Redis) -> None:
    """Nobody waits."""
    with try_lock(redis, NAME, 60) as first, try_lock(redis, NAME, 60) as second:
        assert first
        assert not second
    with try_lock(redis, NAME, 60) as next_one:
        assert next_one


def test_a_mistake_inside_lets_the_next_one_in(redis: Redis) -> None:
    """At once."""
    with pytest.raises(ZeroDivisionError), try_lock(redis, NAME, 60):
        raise ZeroDivisionError
    with try_lock(redis, NAME, 60) as next_one:
        assert next_one


def test_whoever_took_too_long_does_not_end_the_turn_of_another(redis: Redis) -> None:
    """The lock is not theirs any more."""
    with try_lock(redis, NAME, 60):
        redis.delete(NAME)
        other = redis.lock(NAME, timeout=60, blocking=False)
        assert other.acquire()
    assert redis.exists(NAME)


def test_a_dead_one_keeps_others_out_for_a_while_only(redis: Redis) -> None:
    """The key runs out."""
    with try_lock(redis, NAME, 60):
        assert 0 < int(str(redis.pttl(NAME))) <= 60_000
