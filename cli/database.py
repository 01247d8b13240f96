"""`intercom-mirror db`: the tables."""

import click
from sqlalchemy.exc import SQLAlchemyError

from cli.tables import database_trouble
from models.db.migrate import upgrade
from settings import get_settings


@click.group()
def db() -> None:
    """Create and upgrade the tables."""


@db.command("upgrade")
def db_upgrade() -> None:
    """Make the tables, or bring them to this version; harmless where they are up to date."""
    try:
        upgrade(get_settings().database_url)
    except SQLAlchemyError as error:
        raise click.ClickException(database_trouble(error)) from error
    click.echo("The tables are those of this version.")
