"""Engines: one for writing, one for reading, and the fair queue of SQLite's writers."""

import contextlib
import fcntl
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import InvalidatePoolError

# Milliseconds that SQLite waits for a lock that a program outside the fair queue holds (a shell, a backup).
_SQLITE_BUSY_MS = 10_000

# PostgreSQL's settings for each session. A drain must give up before the inbox assigns its entries to another one (30
# s), so nothing may wait longer than that. Times are read and written in UTC. A commit is on disk before the entry
# leaves the inbox.
_POSTGRESQL_SESSION = {
    "timezone": "UTC",
    "synchronous_commit": "on",
    "lock_timeout": "5s",
    "statement_timeout": "15s",
    # A cached plan from when a table was small reads the whole table, or the wrong index, until statistics exist a
    # minute later: the first backfill of a mirror once took many times as long. Planning each time costs a batch about
    # a millisecond. (Forbidding sequential scans instead made batches four times as slow, by the wrong index.)
    "plan_cache_mode": "force_custom_plan",
    # Transactions never pause. One whose client has vanished holds rows and the feed's lock, and blocks every writer.
    "idle_in_transaction_session_timeout": "10s",
    # A COPY whose client has vanished is neither idle nor stopped by statement_timeout: only the server's own probes
    # detect it, within about ten seconds; by default they would start after two hours. Seconds, probes, milliseconds.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

# Seconds, probes, milliseconds: a connection whose server has vanished is detected within about ten seconds.
_POSTGRESQL_CONNECT = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

# Seconds that a session waits for the server's next message: longer than any statement may take. If a proxy in between
# stops forwarding, neither the network nor the server detects it, and a task would wait until its own time limit.
_POSTGRESQL_SILENCE_SECONDS = 20.0
# Seconds between two checks for signals while the driver waits; the driver's default.
_POSTGRESQL_WAIT_SECONDS = 0.1

# Connections that one process holds at most for each of its two engines; an idle one costs the server some megabytes.
_POSTGRESQL_CONNECTIONS = 5

# Seconds that a connection may have been idle and is still used without a ping: a ping is a round trip, as much as the
# one look-up of a proxied call.
_IDLE_SECONDS = 0.5
_IDLE_SINCE = "idle_since"


def write_engine(url: str) -> Engine:
    """Create the engine for `transaction`; after a fork, as processes must not share sockets and SQLite handles."""
    return _sqlite_engine(url, "BEGIN IMMEDIATE") if _is_sqlite(url) else _postgresql_engine(url)


def read_engine(url: str) -> Engine:
    """Create an engine for SELECTs; on SQLite its transactions never queue behind writers."""
    # On PostgreSQL each statement sees what is committed when it starts, in a transaction or not. So reading needs no
    # transaction, and saves its two round trips.
    return _sqlite_engine(url, "BEGIN DEFERRED") if _is_sqlite(url) else _postgresql_engine(url, autocommit=True)


@contextlib.contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """
    Open a write transaction; it commits at the end of the block and rolls back on an exception.

    Raises:
        sqlalchemy.exc.OperationalError: the database is unavailable, locked or full; see `models.db.database_errors`.
    """
    with _writer_queue(engine), engine.begin() as connection:
        yield connection


def _is_sqlite(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def _postgresql_engine(url: str, *, autocommit: bool = False) -> Engine:
    session = " ".join(f"-c {name}={value}" for name, value in _POSTGRESQL_SESSION.items())
    engine = create_engine(
        url,
        # The one thread of a worker uses one, and its reader another; the threads of the web process share all of them.
        pool_size=_POSTGRESQL_CONNECTIONS,
        max_overflow=0,
        # The last connection used is used next, so the others stay idle and expire.
        pool_use_lifo=True,
        pool_recycle=1800,
        # Errors must not quote rows, which are personal data: errors reach logs.
        hide_parameters=True,
        connect_args={**_POSTGRESQL_CONNECT, "options": session},
        **({"isolation_level": "AUTOCOMMIT"} if autocommit else {}),
    )
    _ping_idle_connections(engine)
    event.listen(engine, "do_connect", _connect)
    return engine


class _Session(psycopg.Connection[Any]):
    """A connection that closes if the server is silent for too long."""

    def wait(self, gen: Any, interval: float = _POSTGRESQL_WAIT_SECONDS, timeout: float | None = None) -> Any:
        """Wait as the driver does, but with a limit. A caller with a `timeout` listens, and no message need arrive."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        deadline = time.monotonic() + _POSTGRESQL_SILENCE_SECONDS
        try:
            return super().wait(gen, interval, _POSTGRESQL_SILENCE_SECONDS)
        except psycopg.OperationalError:
            if time.monotonic() >= deadline:
                # The result may still arrive, and would be read as that of the next statement.
                self.close()
            raise


def _connect(_dialect: Any, _record: Any, arguments: list[Any], options: dict[str, Any]) -> _Session:
    return _Session.connect(*arguments, **options)


def _ping_idle_connections(engine: Engine) -> None:
    """
    Ping a connection before it is used, unless it was in use a moment ago; a broken one makes the pool open new ones.

    A connection that breaks within that moment fails at its next statement, which callers must expect at any time.
    """

    @event.listens_for(engine, "checkin")
    def _start_idle(_connection: Any, record: Any) -> None:
        record.info[_IDLE_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _ping(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get(_IDLE_SINCE, math.inf) < _IDLE_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError from error


def _sqlite_engine(url: str, begin: str) -> Engine:
    database = make_url(url).database
    if database and not Path(database).is_absolute() and database != ":memory:":
        # The directory of the default path is created. A mistyped path elsewhere must be an error, not an empty mirror.
        Path(database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    arguments = {"timeout": _SQLITE_BUSY_MS / 1000, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver must not start transactions on its own: it would start them deferred, and a deferred transaction
        # that begins to write ignores the busy time-out.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        # FULL: a commit is on disk before the entry leaves the inbox. NORMAL may lose the last commits in a power cut.
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextlib.contextmanager
def _writer_queue(engine: Engine) -> Iterator[None]:
    """
    Queue with the other writers of a SQLite file.

    SQLite's own waiting is a race that one of four writers never wins. Two file locks make a turnstile: the process
    that waits for the database holds the gate, so a writer that has just finished queues behind the waiting ones.
    """
    database = engine.url.database
    if engine.dialect.name != "sqlite" or not database or not Path(database).parent.is_dir() or database == ":memory:":
        # If the directory is missing, SQLite raises an error for it.
        yield
        return
    with open(f"{database}.gate", "a") as gate, open(f"{database}.turn", "a") as turn:  # noqa: PTH123 -- built from strings
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(turn, fcntl.LOCK_EX)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
