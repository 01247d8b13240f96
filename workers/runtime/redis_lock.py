"""Doing something once at a time among all processes, where twice would be waste but no harm."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redis import Redis
from redis.exceptions import LockError, RedisError


@contextmanager
def try_lock(redis: Redis, name: str, seconds: float) -> Iterator[bool]:
    """
    Tell for the length of the block whether nobody else is in it.

    Whoever dies in it keeps others out for `seconds`; whoever takes longer may be joined.

    Raises:
        RedisError: at the beginning, if Redis is away.
    """
    lock = redis.lock(name, timeout=seconds, blocking=False)
    mine = lock.acquire()
    try:
        yield mine
    finally:
        if mine:
            # It ran out, or Redis went away: then it ends by itself.
            with suppress(LockError, RedisError):
                lock.release()
