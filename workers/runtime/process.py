"""What one process keeps open: its Redis client and its engine, made after the fork that made the process."""

from functools import cache

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from models.db.engine import read_engine, write_engine
from models.db.revision import is_schema_current
from settings import get_settings

# Seconds. A half-open connection must not hold a drain; the script behind an answer takes milliseconds.
REDIS_TIMEOUT = 5.0
REDIS_CONNECT_TIMEOUT = 3.0


@cache
def redis() -> Redis:
    """Return this process's client; it asks again twice, as everything a worker says to Redis can be repeated."""
    return Redis.from_url(
        get_settings().redis_url,
        socket_timeout=REDIS_TIMEOUT,
        socket_connect_timeout=REDIS_CONNECT_TIMEOUT,
        retry=Retry(ExponentialBackoff(cap=0.5, base=0.05), 2),
    )


@cache
def engine() -> Engine:
    """Return this process's engine for writing."""
    return write_engine(get_settings().database_url)


@cache
def reader() -> Engine:
    """Return this process's engine for reading, which never queues behind SQLite's writers."""
    return read_engine(get_settings().database_url)


def schema_is_current() -> bool:
    """Tell whether the tables are those of this version; once they are, they stay so for this process."""
    if not _seen_current:
        _ask()
    return bool(_seen_current)


# Filled once the tables were seen to be those of this version.
_seen_current: list[bool] = []


def _ask() -> None:
    # The engine for writing would take SQLite's lock for this, past the queue of the writers.
    reader = read_engine(get_settings().database_url)
    try:
        if is_schema_current(reader):
            _seen_current.append(True)
    finally:
        reader.dispose()
