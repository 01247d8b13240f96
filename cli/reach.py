"""Reaching what runs already, or saying in one sentence that it does not run."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from redis import Redis
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from models.engine import read_engine, write_engine
from models.migrate import is_current
from settings import Settings
from workers.inbox.clients import blocking_client


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


@contextmanager
def engine_of(settings: Settings, *, writes: bool = False) -> Iterator[Engine]:
    """
    Give an engine on a database whose tables are those of this version.

    Raises:
        click.ClickException: they are not, or the database fails, also inside the block.
    """
    engine = write_engine(settings.database_url) if writes else read_engine(settings.database_url)
    try:
        if not is_current(engine):
            raise click.ClickException("The tables are missing or old. Run `intercom-mirror db upgrade`.")
        yield engine
    except SQLAlchemyError as error:
        raise click.ClickException(database_trouble(error)) from error
    finally:
        engine.dispose()


def database_trouble(error: SQLAlchemyError) -> str:
    """Say that the database failed; its own message may hold a password or rows."""
    return f"The database cannot be used ({_name(error)}). Look at DATABASE_URL, or start it."


def _name(error: Any) -> str:
    return type(getattr(error, "orig", None) or error).__name__
