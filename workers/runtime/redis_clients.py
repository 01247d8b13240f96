"""
Clients of Redis for processes that must respond in time: the web processes, Celery beat, and commands.

They never retry. A second attempt would come too late for the caller, which tries again anyway, and redis-py's own ten
attempts block a caller for more than 30 s when a server hangs. Workers use `workers.runtime.process_resources.redis`.
"""

from functools import cache

from redis import Redis
from redis.asyncio import Redis as LoopRedis
from redis.asyncio.retry import Retry as LoopRetry
from redis.backoff import NoBackoff
from redis.retry import Retry

# Seconds for a reply. Redis needs well under a millisecond, and some milliseconds for an fsync.
REPLY_SECONDS = 1.0

# Seconds to connect, TLS and password included.
CONNECT_SECONDS = 0.5


def loop_client(url: str) -> "LoopRedis":
    """Return a new client for one event loop. The caller limits the time for replies, at less cost than redis-py's."""
    never = LoopRetry(NoBackoff(), 0)
    return LoopRedis.from_url(url, socket_timeout=None, socket_connect_timeout=CONNECT_SECONDS, retry=never)


@cache
def blocking_client(url: str) -> Redis:
    """Return this process's client for threads."""
    never = Retry(NoBackoff(), 0)
    return Redis.from_url(url, socket_timeout=REPLY_SECONDS, socket_connect_timeout=CONNECT_SECONDS, retry=never)
