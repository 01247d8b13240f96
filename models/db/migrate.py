"""Migrate a database to the tables of this version, under a lock."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, inspect

from models.db.engine import transaction, write_engine
from models.db.revision import REVISION, current_revision
from models.tables.sql_views import views

# Number of the advisory lock that makes two releases migrate one after the other; any number that other users of the
# database are unlikely to use.
_MIGRATION_LOCK = 7_263_541_908_112_234


def upgrade(url: str) -> None:
    """
    Create or migrate the tables; do nothing if they are current.

    Views are not part of the migrations: they are dropped before and created again after, as a table that a view reads
    cannot be changed. Privileges granted on the views are lost with them, so read_only.sql must be run again.

    Raises:
        sqlalchemy.exc.OperationalError: the database cannot be reached.
    """
    engine = write_engine(url)
    try:
        with transaction(engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET LOCAL lock_timeout = 0")
                connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
                connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s)", (_MIGRATION_LOCK,))
            if current_revision(connection) != REVISION:
                _drop_views(connection)
                command.upgrade(configuration(connection), "head")
                for name, query in views(connection.dialect.name).items():
                    connection.exec_driver_sql(f"CREATE VIEW {name} AS {query}")
    finally:
        engine.dispose()


def _drop_views(connection: Connection) -> None:
    existing = set(inspect(connection).get_view_names())
    for name in reversed(views(connection.dialect.name)):
        if name in existing:
            connection.exec_driver_sql(f"DROP VIEW {name}")


def configuration(connection: Connection | None) -> Config:
    """Return Alembic's configuration for the migrations in models/migrations, to run on `connection`."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parents[1] / "migrations"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config
