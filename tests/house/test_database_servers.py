"""The servers of the tests have the properties on which the other tests rely."""

import pytest
from redis import Redis
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import OperationalError

from tests.postgres_server import SCHEMA_DIGEST, PostgresServer, ReusableDatabase

_OID = text("SELECT oid FROM pg_database WHERE datname = current_database()")


def test_valkey_keeps_an_append_only_file_and_starts_empty(redis_url: str) -> None:
    """Tests get the durability of the product's own server, and no data of each other."""
    with Redis.from_url(redis_url) as client:
        config = client.config_get("append*")
        assert (config["appendonly"], config["appendfsync"]) == ("yes", "always")
        assert client.dbsize() == 0


def test_a_database_has_tables_and_no_rows(database_url: str) -> None:
    """Both kinds of database are migrated and empty."""
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert {"contacts", "companies"} <= set(inspect(connection).get_table_names())
        assert connection.execute(text("SELECT count(*) FROM contacts")).scalar_one() == 0
    engine.dispose()


def test_a_database_is_empty_when_it_is_acquired_again(reusable_postgres: ReusableDatabase) -> None:
    """No row, no sequence number, no connection and no name remain of an earlier test."""
    old_url = reusable_postgres.acquire()
    old = create_engine(old_url)
    with old.connect() as connection:
        oid = connection.execute(_OID).scalar_one()
        assert [insert_change(connection) for _ in range(2)] == [1, 2]
        reusable_postgres.release()
        with pytest.raises(OperationalError, match="terminat"):
            connection.execute(text("SELECT 1"))
    with pytest.raises(OperationalError, match="does not exist"):
        old.connect()
    old.dispose()
    new = create_engine(reusable_postgres.acquire())
    with new.connect() as connection:
        # The same database: a copy takes longer than most tests.
        assert connection.execute(_OID).scalar_one() == oid
        assert connection.execute(text("SELECT count(*) FROM changes")).scalar_one() == 0
        assert insert_change(connection) == 1
    new.dispose()
    reusable_postgres.release()


def insert_change(connection: Connection) -> int:
    """Insert a change row; returns its number."""
    values = "('w', 'contact', 'c', 'created', '[]', 'webhook')"
    columns = "workspace_id, object_type, object_id, op, changed_fields, source"
    number = connection.execute(text(f"INSERT INTO changes ({columns}) VALUES {values} RETURNING seq")).scalar_one()  # noqa: S608 -- ours
    connection.commit()
    return int(number)


def test_a_database_with_a_changed_schema_is_not_used_again(reusable_postgres: ReusableDatabase) -> None:
    """A test may change the tables; the next test gets those of the template."""
    for _ in range(2):
        engine = create_engine(reusable_postgres.acquire())
        with engine.begin() as connection:
            checks = {each["name"] for each in inspect(connection).get_check_constraints("contacts")}
            assert "poison" not in checks
            connection.execute(text("ALTER TABLE contacts ADD CONSTRAINT poison CHECK (name <> 'poison')"))
        engine.dispose()
        reusable_postgres.release()


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE contacts ADD CONSTRAINT odd CHECK (name <> 'odd')",
        "ALTER TABLE contacts RENAME TO persons",
        "ALTER TABLE contacts ALTER name SET NOT NULL",
        "ALTER TABLE contacts ADD odd text",
        "DROP VIEW connected_users",
        "CREATE SCHEMA odd",
        "CREATE INDEX odd ON contacts (name)",
        "UPDATE alembic_version SET version_num = '0001'",
        "CREATE FUNCTION odd() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "GRANT SELECT ON contacts TO PUBLIC",
    ],
)
def test_every_change_of_the_schema_changes_its_digest(postgres_url: str, statement: str) -> None:
    """The digest covers the whole schema."""
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        before = connection.exec_driver_sql(SCHEMA_DIGEST).scalar_one()
        connection.execute(text(statement))
        assert connection.exec_driver_sql(SCHEMA_DIGEST).scalar_one() != before
    engine.dispose()


def test_postgresql_is_a_supported_version(postgres_server: PostgresServer) -> None:
    """The server responds, and is version 15 or later."""
    engine = create_engine(postgres_server.url)
    with engine.connect() as connection:
        assert connection.dialect.server_version_info is not None
        assert connection.dialect.server_version_info >= (15,)
    engine.dispose()
