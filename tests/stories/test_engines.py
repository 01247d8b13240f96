"""Connections to PostgreSQL that die while nobody uses them, and those that many threads share."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from models.db import engine as engines
from models.db.bulk import lookup_column
from models.db.errors import is_database_unavailable
from models.tables.public_tables import contacts


@pytest.fixture(params=[engines.read_engine, engines.write_engine], ids=["read", "write"])
def engine(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[Engine]:
    """Each of the two."""
    made: Engine = request.param(postgres_url)
    yield made
    made.dispose()


def ask(engine: Engine) -> int:
    """Return which process of the server answers."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def kill(engine: Engine, pid: int) -> None:
    """End a connection from the other end."""
    with psycopg.connect(engine.url.set(drivername="postgresql").render_as_string(hide_password=False)) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_a_connection_that_died_resting_is_noticed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever comes next gets another one, and sees no error."""
    monkeypatch.setattr(engines, "_IDLE_SECONDS", 0.0)
    first = ask(engine)
    kill(engine, first)
    assert ask(engine) not in (0, first)


def test_one_that_died_just_now_costs_one_error(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not tried out, and then not used again."""
    monkeypatch.setattr(engines, "_IDLE_SECONDS", 60.0)
    first = ask(engine)
    kill(engine, first)
    with pytest.raises(OperationalError):
        ask(engine)
    assert ask(engine) != first


def test_a_server_that_says_nothing_is_given_up(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy may stop passing anything on; then the next one gets another connection, and waiting helps."""
    first = ask(engine)
    monkeypatch.setattr(engines, "_POSTGRESQL_SILENCE_SECONDS", 0.2)
    with pytest.raises(OperationalError) as caught, engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(10)"))
    assert is_database_unavailable(caught.value)
    assert ask(engine) != first


def test_a_look_up_gives_a_dead_connection_up_too(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It speaks to the driver itself, whose errors SQLAlchemy does not see."""
    monkeypatch.setattr(engines, "_IDLE_SECONDS", 60.0)
    reader = engines.read_engine(postgres_url)
    assert lookup_column(reader, contacts.table, "_version", [("w", "1")]) == {}
    kill(reader, ask(reader))
    with pytest.raises(psycopg.OperationalError):
        lookup_column(reader, contacts.table, "_version", [("w", "1")])
    assert lookup_column(reader, contacts.table, "_version", [("w", "1"), ("w", "2")]) == {}
    reader.dispose()


def test_many_threads_share_few_connections(engine: Engine) -> None:
    """The server's are counted; who finds none free waits for one."""
    with ThreadPoolExecutor(32) as pool:
        used = set(pool.map(lambda _: ask(engine), range(200)))
    assert 1 <= len(used) <= engines._POSTGRESQL_CONNECTIONS
