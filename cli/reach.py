"""Reaching the Redis that runs already, or saying in one sentence that it does not run."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from redis import Redis
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError

from settings import Settings
from workers.runtime.redis_clients import blocking_client


@contextmanager
def redis_of(settings: Settings) -> Iterator[Redis]:
    """
    Give a client of the Redis that holds the inbox.

    Raises:
        click.ClickException: it cannot be reached, also when that happens inside the block.
    """
    client = blocking_client(settings.redis_url)
    try:
        client.ping()
        yield client
    except RedisError as error:
        raise click.ClickException(_why_not(settings, error)) from error


def _why_not(settings: Settings, error: RedisError) -> str:
    if isinstance(error, AuthenticationError):
        return "Redis refuses our password. Look at REDIS_URL."
    if isinstance(error, BusyLoadingError):
        return "Redis is still loading its file. Try again in a moment."
    if settings.embedded_redis:
        return "Nothing is running here. Run `intercom-mirror up` first, in this directory."
    return f"Redis cannot be reached ({type(error).__name__}). Look at REDIS_URL, or start it."
