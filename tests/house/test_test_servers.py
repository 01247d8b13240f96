"""The servers of the test bed are what the other tests believe them to be."""

from redis import Redis
from sqlalchemy import create_engine, inspect, text

from tests.postgres_server import PostgresServer


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


def test_postgres_is_really_there(postgres_server: PostgresServer) -> None:
    """The maintenance database answers."""
    engine = create_engine(postgres_server.url)
    with engine.connect() as connection:
        assert connection.dialect.server_version_info is not None
        assert connection.dialect.server_version_info >= (15,)
    engine.dispose()
