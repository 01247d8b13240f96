"""Connections to PostgreSQL that break while they are idle, and connections that many threads share."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
from sqlalchemy import Engine, text
from sqlalchemy.exc import OperationalError

from models.db import engine as engines
from models.db.bulk import lookup_column
from models.db.database_errors import is_database_unavailable
from models.tables.public_tables import contacts


@pytest.fixture(params=[engines.read_engine, engines.write_engine], ids=["read", "write"])
def engine(request: pytest.FixtureRequest, postgres_url: str) -> Iterator[Engine]:
    """The engine for reading, and the engine for writing."""
    engine: Engine = request.param(postgres_url)
    yield engine
    engine.dispose()


def backend_pid(engine: Engine) -> int:
    """Return the id of the server process that serves the connection."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT pg_backend_pid()")).scalar_one())


def kill(engine: Engine, pid: int) -> None:
    """Terminate a connection on the server."""
    with psycopg.connect(engine.url.set(drivername="postgresql").render_as_string(hide_password=False)) as other:
        other.execute("SELECT pg_terminate_backend(%s, 5000)", (pid,))


def test_a_connection_that_broke_while_idle_is_detected(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The next user of the pool gets another connection, without an error."""
    monkeypatch.setattr(engines, "_IDLE_SECONDS", 0.0)
    first = backend_pid(engine)
    kill(engine, first)
    assert backend_pid(engine) not in (0, first)


def test_a_connection_that_broke_just_now_costs_one_error(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not pinged; after the error it is not used again."""
    monkeypatch.setattr(engines, "_IDLE_SECONDS", 60.0)
    first = backend_pid(engine)
    kill(engine, first)
    with pytest.raises(OperationalError):
        backend_pid(engine)
    assert backend_pid(engine) != first


def test_a_connection_to_a_silent_server_is_closed(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy may stop forwarding. The next user gets another connection, and the error says that waiting helps."""
    first = backend_pid(engine)
    monkeypatch.setattr(engines, "_POSTGRESQL_SILENCE_SECONDS", 0.2)
    with pytest.raises(OperationalError) as caught, engine.connect() as connection:
        connection.execute(text("SELECT pg_sleep(10)"))
    assert is_database_unavailable(caught.value)
    assert backend_pid(engine) != first


def test_a_look_up_drops_a_broken_connection_too(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It calls the driver directly, whose errors SQLAlchemy does not handle."""
    monkeypatch.setattr(engines, "_IDLE_SECONDS", 60.0)
    reader = engines.read_engine(postgres_url)
    assert lookup_column(reader, contacts.table, "_version", [("w", "1")]) == {}
    kill(reader, backend_pid(reader))
    with pytest.raises(psycopg.OperationalError):
        lookup_column(reader, contacts.table, "_version", [("w", "1")])
    assert lookup_column(reader, contacts.table, "_version", [("w", "1"), ("w", "2")]) == {}
    reader.dispose()


def test_many_threads_share_few_connections(engine: Engine) -> None:
    """The pool is limited; a thread that finds no free connection waits for one."""
    with ThreadPoolExecutor(32) as pool:
        used = set(pool.map(lambda _: backend_pid(engine), range(200)))
    assert 1 <= len(used) <= engines._POSTGRESQL_CONNECTIONS
