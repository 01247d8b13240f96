"""The servers of the test bed are what the other tests believe them to be."""

import pytest
from redis import Redis
from sqlalchemy import Connection, create_engine, inspect, text
from sqlalchemy.exc import OperationalError

from tests.postgres_server import SCHEMA_DIGEST, PostgresServer, ReusableDatabase

_OID = text("SELECT oid FROM pg_database WHERE datname = current_database()")


def test_valkey_keeps_an_append_only_file_and_starts_empty(redis_url: str) -> None:
    """Tests see the durability of the product's own server, and nothing of each other."""
    with Redis.from_url(redis_url) as client:
        config = client.config_get("append*")
        assert (config["appendonly"], config["appendfsync"]) == ("yes", "always")
        assert client.dbsize() == 0


def test_a_database_has_tables_and_no_rows(database_url: str) -> None:
    """Both kinds of database come migrated and empty."""
    engine = create_engine(database_url)
    with engine.connect() as connection:
        assert {"contacts", "companies"} <= set(inspect(connection).get_table_names())
        assert connection.execute(text("SELECT count(*) FROM contacts")).scalar_one() == 0
    engine.dispose()


def test_a_database_that_was_used_comes_back_as_new(reusable_postgres: ReusableDatabase) -> None:
    """No row, no number, no connection and not even the name is left of what a test did."""
    old_url = reusable_postgres.acquire()
    old = create_engine(old_url)
    with old.connect() as connection:
        oid = connection.execute(_OID).scalar_one()
        assert [add_a_change(connection) for _ in range(2)] == [1, 2]
        reusable_postgres.release()
        with pytest.raises(OperationalError, match="terminat"):
            connection.execute(text("SELECT 1"))
    with pytest.raises(OperationalError, match="does not exist"):
        old.connect()
    old.dispose()
    new = create_engine(reusable_postgres.acquire())
    with new.connect() as connection:
        # The same one all the same: a copy takes longer than most tests.
        assert connection.execute(_OID).scalar_one() == oid
        assert connection.execute(text("SELECT count(*) FROM changes")).scalar_one() == 0
        assert add_a_change(connection) == 1
    new.dispose()
    reusable_postgres.release()


def add_a_change(connection: Connection) -> int:
    """Write a line of the feed; returns its number."""
    values = "('w', 'contact', 'c', 'created', '[]', 'webhook')"
    columns = "workspace_id, object_type, object_id, op, changed_fields, source"
    number = connection.execute(text(f"INSERT INTO changes ({columns}) VALUES {values} RETURNING seq")).scalar_one()  # noqa: S608 -- ours
    connection.commit()
    return int(number)


def test_a_database_whose_tables_were_changed_is_not_used_again(reusable_postgres: ReusableDatabase) -> None:
    """Whatever a test did to the tables, the next one finds those of the template."""
    for _ in range(2):
        engine = create_engine(reusable_postgres.acquire())
        with engine.begin() as connection:
            found = {each["name"] for each in inspect(connection).get_check_constraints("contacts")}
            assert "poison" not in found
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
def test_every_change_of_the_tables_shows(postgres_url: str, statement: str) -> None:
    """The shape that is compared has all of it."""
    engine = create_engine(postgres_url)
    with engine.connect() as connection:
        before = connection.exec_driver_sql(SCHEMA_DIGEST).scalar_one()
        connection.execute(text(statement))
        assert connection.exec_driver_sql(SCHEMA_DIGEST).scalar_one() != before
    engine.dispose()


def test_postgres_is_really_there(postgres_server: PostgresServer) -> None:
    """The maintenance database answers."""
    engine = create_engine(postgres_server.url)
    with engine.connect() as connection:
        assert connection.dialect.server_version_info is not None
        assert connection.dialect.server_version_info >= (15,)
    engine.dispose()
