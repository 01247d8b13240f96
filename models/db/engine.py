"""Engines: one that writes, one that reads, and the fair queue of SQLite's writers."""

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

# How long SQLite waits for a lock that somebody outside the fair queue holds (a shell, a backup), in milliseconds.
_SQLITE_BUSY_MS = 10_000

# PostgreSQL, per session. A drain must give up before the inbox hands its entries to another one (30 s), so nothing
# may wait longer than that; times are read and written in UTC; a commit is on disk before the inbox entry goes.
_POSTGRESQL_SESSION = {
    "timezone": "UTC",
    "synchronous_commit": "on",
    "lock_timeout": "5s",
    "statement_timeout": "15s",
    # A plan that was made while a table was small and is kept reads the whole table, or the wrong index, until
    # statistics are made a minute later: the first fill of a mirror once took many times as long. Planning anew costs
    # a batch about a millisecond. (To forbid whole-table scans instead cost four times as much: the wrong index.)
    "plan_cache_mode": "force_custom_plan",
    # Our transactions never pause. One whose client vanished holds rows and the feed's lock, and so everybody, up.
    "idle_in_transaction_session_timeout": "10s",
    # A COPY whose client vanished is neither idle nor stopped by statement_timeout: only the server's own probes find
    # it out, within about ten seconds; by default they would begin after two hours. Seconds, probes, milliseconds.
    "tcp_keepalives_idle": "5",
    "tcp_keepalives_interval": "2",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "10000",
}

# Seconds, probes, milliseconds: a connection whose other end vanished is noticed within about ten seconds.
_POSTGRESQL_CONNECT = {
    "connect_timeout": 5,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 10_000,
}

# Seconds that a session waits for the server's next word: longer than any statement may take. Where a proxy in between
# stopped passing anything on, neither the network nor the server notices, and whoever waits would do so for as long as
# its task may take.
_POSTGRESQL_SILENCE_SECONDS = 20.0
# Seconds between looks of who waits whether a signal came; the driver's own.
_POSTGRESQL_LOOK_SECONDS = 0.1

# Connections that one process holds at most, for each of its two engines; idle ones cost the server some megabytes.
_POSTGRESQL_CONNECTIONS = 5

# Seconds that a connection may have rested and is still used untried: a try is a round trip, as much as the one look-up
# of a call that is passed on.
_REST_SECONDS = 0.5
_RESTS_SINCE = "rests_since"


def write_engine(url: str) -> Engine:
    """Make the engine for `transaction`; make it after a fork, as sockets and SQLite handles must not be shared."""
    return _sqlite_engine(url, "BEGIN IMMEDIATE") if _is_sqlite(url) else _postgresql_engine(url)


def read_engine(url: str) -> Engine:
    """Make an engine for SELECTs; on SQLite its transactions never queue behind writers."""
    # On PostgreSQL each statement sees what is committed when it begins, in a transaction or not; so reading needs
    # none, and saves the two round trips around it.
    return _sqlite_engine(url, "BEGIN DEFERRED") if _is_sqlite(url) else _postgresql_engine(url, autocommit=True)


@contextlib.contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """
    Open a write transaction; it commits at the end of the block and rolls back on an exception.

    Raises:
        sqlalchemy.exc.OperationalError: the database is away, locked or full; see `models.db.errors`.
    """
    with _turn(engine), engine.begin() as connection:
        yield connection


def _is_sqlite(url: str) -> bool:
    return make_url(url).get_backend_name() == "sqlite"


def _postgresql_engine(url: str, *, autocommit: bool = False) -> Engine:
    session = " ".join(f"-c {name}={value}" for name, value in _POSTGRESQL_SESSION.items())
    engine = create_engine(
        url,
        # A worker's one thread uses one, and a reader beside it another; the threads of the web process share these.
        pool_size=_POSTGRESQL_CONNECTIONS,
        max_overflow=0,
        # The rest stay unused, and the server may end them, without a pause for those in use.
        pool_use_lifo=True,
        pool_recycle=1800,
        # Errors must not quote rows: they are personal data, and errors reach logs.
        hide_parameters=True,
        connect_args={**_POSTGRESQL_CONNECT, "options": session},
        **({"isolation_level": "AUTOCOMMIT"} if autocommit else {}),
    )
    _ping_the_rested(engine)
    event.listen(engine, "do_connect", _connect)
    return engine


class _Session(psycopg.Connection[Any]):
    """A connection that is given up where the server says nothing for too long."""

    def wait(self, gen: Any, interval: float = _POSTGRESQL_LOOK_SECONDS, timeout: float | None = None) -> Any:
        """Wait as the driver does, but not for ever; with a `timeout` somebody listens, and nothing need come."""
        if timeout is not None:
            return super().wait(gen, interval, timeout)
        until = time.monotonic() + _POSTGRESQL_SILENCE_SECONDS
        try:
            return super().wait(gen, interval, _POSTGRESQL_SILENCE_SECONDS)
        except psycopg.OperationalError:
            if time.monotonic() >= until:
                # Its answer may still come, and would be taken for that of the next statement.
                self.close()
            raise


def _connect(_dialect: Any, _record: Any, given: list[Any], more: dict[str, Any]) -> _Session:
    return _Session.connect(*given, **more)


def _ping_the_rested(engine: Engine) -> None:
    """
    Try a connection out before it is used, unless it was in use just now; a dead one makes the pool open others.

    What dies within that moment is noticed by its next statement, which the callers have to expect at any time.
    """

    @event.listens_for(engine, "checkin")
    def _rest(_connection: Any, record: Any) -> None:
        record.info[_RESTS_SINCE] = time.monotonic()

    @event.listens_for(engine, "checkout")
    def _try_out(connection: Any, record: Any, _proxy: Any) -> None:
        if time.monotonic() - record.info.get(_RESTS_SINCE, math.inf) < _REST_SECONDS:
            return
        try:
            engine.dialect.do_ping(connection)
        except psycopg.Error as error:
            raise InvalidatePoolError from error


def _sqlite_engine(url: str, begin: str) -> Engine:
    database = make_url(url).database
    if database and not Path(database).is_absolute() and database != ":memory:":
        # The default's directory is made; a mistyped path elsewhere must be an error, not an empty mirror.
        Path(database).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    arguments = {"timeout": _SQLITE_BUSY_MS / 1000, "check_same_thread": False}
    engine = create_engine(url, connect_args=arguments, hide_parameters=True)

    @event.listens_for(engine, "connect")
    def _configure(connection: Any, _record: Any) -> None:
        # The driver must not begin transactions on its own: it would begin them deferred, and an upgrade of a
        # deferred transaction ignores the busy time-out.
        connection.isolation_level = None
        connection.execute("PRAGMA journal_mode=WAL")
        # FULL: a commit is on disk before the inbox entry goes; NORMAL may lose the last commits on a power cut.
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql(begin)

    return engine


@contextlib.contextmanager
def _turn(engine: Engine) -> Iterator[None]:
    """
    Queue with the other writers of a SQLite file.

    SQLite's own waiting is a race that one of four writers loses for good. Two file locks make a turnstile: whoever
    waits for the database holds the gate, so a writer that just finished queues behind those who waited.
    """
    database = engine.url.database
    if engine.dialect.name != "sqlite" or not database or not Path(database).parent.is_dir() or database == ":memory:":
        # Where the directory is missing SQLite says so itself.
        yield
        return
    with open(f"{database}.gate", "a") as gate, open(f"{database}.turn", "a") as turn:  # noqa: PTH123 -- names, not paths
        fcntl.flock(gate, fcntl.LOCK_EX)
        fcntl.flock(turn, fcntl.LOCK_EX)
        fcntl.flock(gate, fcntl.LOCK_UN)
        yield
