"""What one process keeps open: its Redis client and its engines, created after the fork that created the process."""

from functools import cache

from redis import Redis
from redis.backoff import ExponentialBackoff
from redis.retry import Retry
from sqlalchemy import Engine

from models.db.engine import read_engine, write_engine
from models.db.revision import is_schema_current
from settings import get_settings

# Seconds. A half-open connection must not block a drain; the slowest command takes milliseconds.
REDIS_TIMEOUT = 5.0
REDIS_CONNECT_TIMEOUT = 3.0


@cache
def redis() -> Redis:
    """Return this process's client. It retries twice: every command that a worker sends may be repeated."""
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
    """Return this process's engine for reading, which never waits for SQLite's writers."""
    return read_engine(get_settings().database_url)


def schema_is_current() -> bool:
    """Return whether the tables belong to this version. Once they do, this process does not check again."""
    if not _checked_current:
        _check_schema()
    return bool(_checked_current)


# Not empty once the tables were found to belong to this version.
_checked_current: list[bool] = []


def _check_schema() -> None:
    # Not with the engine for writing: it would take SQLite's lock without waiting in the writers' queue.
    engine = read_engine(get_settings().database_url)
    try:
        if is_schema_current(engine):
            _checked_current.append(True)
    finally:
        engine.dispose()
