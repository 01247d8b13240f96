"""Reaching the tables, or saying in one sentence why they cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from models.engine import read_engine, write_engine
from models.revision import is_current
from settings import Settings


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
