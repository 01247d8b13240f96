"""
Clients of Redis that answer in time or say that they cannot.

They never retry: a second attempt would come too late for whoever waits, who asks again anyway. redis-py's own ten
attempts hold a caller for more than 30 s against a server that hangs.
"""

from functools import cache

from redis import Redis
from redis.asyncio import Redis as LoopRedis
from redis.asyncio.retry import Retry as LoopRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

# Seconds for an answer. Redis needs well under a millisecond, and a disk that is asked to fsync some milliseconds.
ANSWER_SECONDS = 1.0

# Seconds to connect, TLS and password included.
CONNECT_SECONDS = 0.5


def loop_client(url: str) -> "LoopRedis":
    """Make a client for one event loop, whose caller limits the time of answers; redis-py's own limit costs more."""
    never = LoopRetry(NoBackoff(), 0)
    return LoopRedis.from_url(url, socket_timeout=None, socket_connect_timeout=CONNECT_SECONDS, retry=never)


@cache
def blocking_client(url: str) -> Redis:
    """Return this process's client for threads."""
    never = Retry(NoBackoff(), 0)
    return Redis.from_url(url, socket_timeout=ANSWER_SECONDS, socket_connect_timeout=CONNECT_SECONDS, retry=never)
