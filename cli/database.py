"""`intercom-mirror db`, and the database connection of the other commands."""

from collections.abc import Iterator
from contextlib import contextmanager

import click
from sqlalchemy import Engine
from sqlalchemy.exc import SQLAlchemyError

from models.db.database_errors import describe_database_error, is_database_unavailable
from models.db.engine import read_engine, write_engine
from models.db.revision import is_schema_current
from settings import Settings, get_settings


@click.group()
def db() -> None:
    """Create and upgrade the tables."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Create the tables, or upgrade them to this version; does nothing if they are up to date."""
    from models.db.migrate import upgrade  # noqa: PLC0415 -- Alembic; commands that only read tables do not need it

    try:
        upgrade(get_settings().database_url)
    except SQLAlchemyError as error:
        raise click.ClickException(database_message(error)) from error
    click.echo("The tables match this version.")


@contextmanager
def open_database(settings: Settings, *, writes: bool = False) -> Iterator[Engine]:
    """
    Yield an engine for a database whose tables match this version.

    Raises:
        click.ClickException: they do not, or the database fails, also inside the block.
    """
    engine = write_engine(settings.database_url) if writes else read_engine(settings.database_url)
    try:
        if not is_schema_current(engine):
            raise click.ClickException("The tables are missing or outdated. Run `intercom-mirror db upgrade`.")
        yield engine
    except SQLAlchemyError as error:
        raise click.ClickException(database_message(error)) from error
    finally:
        engine.dispose()


def database_message(error: SQLAlchemyError) -> str:
    """Describe a failure: with the driver's text if it concerns the connection, else without, as it may quote rows."""
    reason = describe_database_error(error) if is_database_unavailable(error) else type(error).__name__
    return f"The database cannot be used ({reason}). Check DATABASE_URL and the database server."
