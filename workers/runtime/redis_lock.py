"""A lock among all processes, for work that is wasteful but harmless when it is done twice at a time."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

from redis import Redis
from redis.exceptions import LockError, RedisError


@contextmanager
def try_lock(redis: Redis, name: str, seconds: float) -> Iterator[bool]:
    """
    Hold a lock for the length of the block, if it is free.

    The lock expires after `seconds`: a process that crashes keeps others out for that long, and one that takes longer
    may be joined by another.

    Yields:
        Whether this process holds the lock. If not, another process does the work.

    Raises:
        RedisError: Redis is unavailable when the block is entered.
    """
    lock = redis.lock(name, timeout=seconds, blocking=False)
    acquired = lock.acquire()
    try:
        yield acquired
    finally:
        if acquired:
            # If it has expired, or Redis is unavailable by now, the lock ends by itself.
            with suppress(LockError, RedisError):
                lock.release()
