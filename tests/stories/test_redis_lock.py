"""One process at a time, unless it crashed."""

from collections.abc import Iterator

import pytest
from redis import Redis

from workers.runtime.redis_lock import try_lock

NAME = "something"


@pytest.fixture
def redis(redis_url: str) -> Iterator[Redis]:
    with Redis.from_url(redis_url) as client:
        yield client


def test_a_second_process_does_not_get_the_lock_until_it_is_released(redis: Redis) -> None:
    """It does not wait either."""
    with try_lock(redis, NAME, 60) as first, try_lock(redis, NAME, 60) as second:
        assert first
        assert not second
    with try_lock(redis, NAME, 60) as next_one:
        assert next_one


def test_an_error_in_the_block_releases_the_lock(redis: Redis) -> None:
    """At once."""
    with pytest.raises(ZeroDivisionError), try_lock(redis, NAME, 60):
        raise ZeroDivisionError
    with try_lock(redis, NAME, 60) as next_one:
        assert next_one


def test_a_process_that_took_too_long_does_not_release_the_lock_of_another(redis: Redis) -> None:
    """Its own lock has expired."""
    with try_lock(redis, NAME, 60):
        redis.delete(NAME)
        other = redis.lock(NAME, timeout=60, blocking=False)
        assert other.acquire()
    assert redis.exists(NAME)


def test_the_lock_of_a_crashed_process_expires(redis: Redis) -> None:
    """The key has an expiry."""
    with try_lock(redis, NAME, 60):
        assert 0 < int(str(redis.pttl(NAME))) <= 60_000
