"""Reaching the tables, or saying in one sentence why they cannot be used."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from models.db.engine import read_engine, write_engine
from models.db.errors import describe_database_error, is_database_unavailable
from models.db.revision import is_schema_current
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
        if not is_schema_current(engine):
            raise click.ClickException("The tables are missing or old. Run `intercom-mirror db upgrade`.")
        yield engine
    except SQLAlchemyError as error:
        raise click.ClickException(database_trouble(error)) from error
    finally:
        engine.dispose()


def database_trouble(error: SQLAlchemyError) -> str:
    """Say that the database failed; in the driver's words, where these are about the connection and not about rows."""
    reason = describe_database_error(error) if is_database_unavailable(error) else type(error).__name__
    return f"The database cannot be used ({reason}). Look at DATABASE_URL and at the server."
