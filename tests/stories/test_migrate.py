"""A database of an earlier release is migrated to this version, with its views."""

import pytest
from alembic import command
from sqlalchemy import inspect, text

from models.db.engine import transaction, write_engine
from models.db.migrate import configuration, upgrade
from models.db.revision import is_schema_current
from models.tables.sql_views import views
from tests import postgres_server as postgres


@pytest.fixture(params=["sqlite", "postgres"])
def empty_url(request: pytest.FixtureRequest) -> str:
    """URL of a database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{request.getfixturevalue('tmp_path')}/old.db"
    server: postgres.PostgresServer = request.getfixturevalue("postgres_server")
    return server.create(postgres.unique_name("old"))


def test_the_first_tables_are_migrated_to_the_current_ones(empty_url: str) -> None:
    """Views over tables that change do not prevent the migration, and have their current definition afterwards."""
    engine = write_engine(empty_url)
    with transaction(engine) as connection:
        command.upgrade(configuration(connection), "0001")
        connection.execute(text("CREATE VIEW connected_users AS SELECT user_id, region FROM connections"))
    upgrade(empty_url)
    assert is_schema_current(engine)
    with engine.connect() as connection:
        assert set(inspect(connection).get_view_names()) == set(views(engine.dialect.name))
        connection.execute(text("SELECT user_id, workspace_id, region, status FROM connected_users"))
    engine.dispose()


def test_an_upgrade_of_current_tables_keeps_the_views(database_url: str) -> None:
    """Privileges of an application on the views last until the tables change."""
    engine = write_engine(database_url)
    with transaction(engine) as connection:
        connection.execute(text("DROP VIEW connected_users"))
    upgrade(database_url)
    with engine.connect() as connection:
        assert "connected_users" not in inspect(connection).get_view_names()
    engine.dispose()
