"""The two designs: the commands that run each, its backlog, and the number of notifications it has stored."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from bench.bodies import CLIENT_ID, CLIENT_SECRET
from bench.servers import Postgres, Valkey, free_port
from workers.runtime import redis_keys

ROOT = Path(__file__).resolve().parent.parent
WEBHOOK_PATH = "/webhooks/intercom"
# The key of the tasks that a Celery worker of the naive design has fetched and not yet started.
_UNACKED = "unacked"
_NAIVE_QUEUE = "celery"
# Seconds; the migration of an empty database takes one or two.
_PREPARE_TIMEOUT_SECONDS = 60.0


class Contender(Protocol):
    """One of the two designs, on a database of its own."""

    name: str
    database: str
    commands: dict[str, str]

    def environment(self, port: int) -> dict[str, str]:
        """Return the environment variables of its processes."""

    def prepare(self, directory: Path) -> None:
        """Create its tables."""

    def backlog(self) -> int:
        """Return the notifications that wait in Valkey: not yet committed, or (naive) not yet started."""

    def stored(self) -> int:
        """Return the notifications stored in SQL since `prepare`; exact once the processes have ended."""

    def version_of(self, workspace: str, contact: str) -> int | None:
        """Return `updated_at` of a contact's row in unix seconds; None if there is no row."""


@dataclass
class _ServerBacked:
    """The common part of both designs: a database in PostgreSQL, a numbered one in Valkey."""

    postgres: Postgres
    valkey: Valkey
    database: str

    def __post_init__(self) -> None:
        self.postgres.create(self.database)
        self.sql = self.postgres.connect(self.database)

    def _environment(self, port: int, redis_database: int) -> dict[str, str]:
        return {
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PYTHONPATH": str(ROOT),
            "HOME": os.environ.get("HOME", "/"),
            "HOST": "127.0.0.1",
            "PORT": str(port),
            "DATABASE_URL": self.postgres.url(self.database),
            "REDIS_URL": self.valkey.url(redis_database),
            "INTERCOM_CLIENT_ID": CLIENT_ID,
            "INTERCOM_CLIENT_SECRET": CLIENT_SECRET,
        }

    def version_of(self, workspace: str, contact: str) -> int | None:
        """Return `updated_at` of a contact's row in unix seconds; None if there is no row."""
        row = self.sql.execute(
            "SELECT extract(epoch FROM date_trunc('second', updated_at))::bigint FROM contacts"
            " WHERE workspace_id = %s AND id = %s",
            (workspace, contact),
        ).fetchone()
        return row[0] if row else None


class Product(_ServerBacked):
    """The product, with the command lines of its Procfile."""

    name = "product"

    def __post_init__(self) -> None:
        super().__post_init__()
        self.redis = self.valkey.connect(0)
        lines = [line.partition(":") for line in (ROOT / "Procfile").read_text().splitlines() if ":" in line]
        self.procfile = {name.strip(): command.strip() for name, _, command in lines if not name.startswith("#")}
        self.commands = {name: command for name, command in self.procfile.items() if name != "release"}

    def environment(self, port: int) -> dict[str, str]:
        """Use Valkey's database 0."""
        return self._environment(port, 0)

    def prepare(self, directory: Path) -> None:
        """Run the release command."""
        _run(self.procfile["release"], self.environment(free_port()), directory)

    def backlog(self) -> int:
        """Return the length of the inbox; an entry leaves it after its commit."""
        return int(self.redis.xlen(redis_keys.INBOX))

    def stored(self) -> int:
        """Count the ledger."""
        return _count(self.sql.execute("SELECT count(*) FROM notifications").fetchone())


class Naive(_ServerBacked):
    """One Celery task and one commit per webhook; see `bench.naive`."""

    name = "naive"
    commands = {  # noqa: RUF012 -- the protocol requires a plain attribute; it is never changed
        "web": "granian --interface wsgi --host $HOST --port $PORT --workers 2 --blocking-threads 8 --no-ws"
        " --log-level warning bench.naive:flask_app",
        "worker": "celery --app bench.naive:celery_app worker --concurrency 2 --loglevel warning",
    }

    def __post_init__(self) -> None:
        super().__post_init__()
        self.redis = self.valkey.connect(1)

    def environment(self, port: int) -> dict[str, str]:
        """Use Valkey's database 1."""
        return self._environment(port, 1)

    def prepare(self, directory: Path) -> None:
        """Create the table."""
        _run(f"{sys.executable} -m bench.naive", self.environment(free_port()), directory)

    def backlog(self) -> int:
        """Return the tasks that are queued or fetched; Celery removes a task from the latter when it starts."""
        return int(self.redis.llen(_NAIVE_QUEUE)) + int(self.redis.hlen(_UNACKED))

    def stored(self) -> int:
        """Count row writes, one per webhook: the naive design has no ledger."""
        format_figure = "SELECT n_tup_ins + n_tup_upd FROM pg_stat_user_tables WHERE relname = 'contacts'"
        return _count(self.sql.execute(format_figure).fetchone())


def _run(command: str, environment: dict[str, str], directory: Path) -> None:
    shell = ["/bin/sh", "-c", command]
    quiet = subprocess.DEVNULL
    subprocess.run(shell, env=environment, cwd=directory, check=True, timeout=_PREPARE_TIMEOUT_SECONDS, stdout=quiet)


def _count(row: tuple[int, ...] | None) -> int:
    return row[0] if row else 0
