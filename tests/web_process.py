"""The real web process, and a client that sends exact bytes."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from intercom_api.wire.signatures import sign
from tests.ports import free_port

CLIENT_SECRET = "a-client-secret-that-no-log-may-show"
PATH = "/webhooks/intercom"

# Seconds. It starts in less than one; a busy machine may need a few.
_START_SECONDS = 20.0
_STOP_SECONDS = 15.0
# Longer than any response takes on a busy machine; tests of time limits check the duration.
_PATIENCE_SECONDS = 30.0


class Answer(NamedTuple):
    """`status` 0: the connection was closed without a response; `seconds`: from the first byte sent to the response."""

    status: int
    headers: dict[str, str]
    body: str
    seconds: float


class WebProcess:
    """`intercom-mirror web` on its own port, in its own directory."""

    def __init__(self, directory: Path, redis_url: str) -> None:
        self.directory = directory
        self.redis_url = redis_url
        self.port = free_port()
        self.log = directory / "web.log"
        self.process: subprocess.Popen[bytes] | None = None

    def start(self, output: int | None = None) -> None:
        """Start it and wait until it responds; `output` is a file descriptor for its log, if not `web.log`."""
        environment = {
            **os.environ,
            "PORT": str(self.port),
            "REDIS_URL": self.redis_url,
            "DATABASE_URL": os.environ.get("DATABASE_URL") or f"sqlite:///{self.directory}/mirror.db",
            "INTERCOM_CLIENT_ID": "an-app",
            "INTERCOM_CLIENT_SECRET": CLIENT_SECRET,
            "PYTHONPATH": str(Path(__file__).parents[1]),
            "LOG_FORMAT": "json",
        }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "cli", "web"],
                cwd=self.directory,
                env=environment,
                stdout=log if output is None else output,
                stderr=subprocess.STDOUT,
            )
        deadline = time.monotonic() + _START_SECONDS
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"The web process did not start: {self.log.read_text()}")
            # Between two checks whether it serves yet.
            time.sleep(0.05)

    @property
    def serving(self) -> psutil.Process:
        """The process that holds the connections, a child of the one that was started."""
        assert self.process is not None
        [child] = psutil.Process(self.process.pid).children()
        return child

    def kill(self) -> None:
        """Kill both processes, as a crash would."""
        assert self.process is not None
        child = self.serving
        self.process.kill()
        child.kill()
        self.process.wait(_STOP_SECONDS)
        child.wait(_STOP_SECONDS)

    def stop(self) -> float:
        """Stop it with SIGTERM; returns the seconds that took."""
        assert self.process is not None
        started = time.monotonic()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            self.process.wait(_STOP_SECONDS)
        return time.monotonic() - started

    def connect(self) -> socket.socket:
        """Open a connection with a long time-out."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=_PATIENCE_SECONDS)

    def ask(self, request: bytes) -> Answer:
        """Send bytes, and read one response."""
        with self.connect() as connection:
            started = time.monotonic()
            # A server that refuses early may close before it has read everything; its response still arrives.
            with suppress(BrokenPipeError, ConnectionResetError):
                connection.sendall(request)
            return read_answer(connection, started)

    def get(self, path: str) -> Answer:
        """Fetch a page."""
        return self.ask(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())

    def post(self, body: bytes) -> Answer:
        """Post a body with the right signature."""
        return self.ask(signed(body))

    def _answers(self) -> bool:
        try:
            return self.get("/healthz").status == 200
        except OSError:
            return False


def signed(body: bytes) -> bytes:
    """Return a notification as Intercom sends it."""
    return notification(body, f"X-Hub-Signature: {sign(body, CLIENT_SECRET)}", f"Content-Length: {len(body)}")


def notification(body: bytes, *headers: str, method: str = "POST", path: str = PATH) -> bytes:
    """Return a request with only these headers and Host; ÿ represents the byte 0xff."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: localhost", *headers, "", ""]).encode("latin-1") + body


def read_answer(connection: socket.socket, started: float) -> Answer:
    """Read one response with a Content-Length."""
    received = b""
    try:
        while b"\r\n\r\n" not in received:
            received += _more(connection)
        head, _, body = received.partition(b"\r\n\r\n")
        lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
        while len(body) < int(headers.get("content-length", 0)):
            body += _more(connection)
    except ConnectionError:
        return Answer(0, {}, "", time.monotonic() - started)
    return Answer(int(lines[0].split()[1]), headers, body.decode("latin-1"), time.monotonic() - started)


def _more(connection: socket.socket) -> bytes:
    chunk = connection.recv(65536)
    if not chunk:
        raise ConnectionError
    return chunk


@contextmanager
def running(directory: Path, redis_url: str) -> Iterator[WebProcess]:
    """Run a web process for the length of the block."""
    web = WebProcess(directory, redis_url)
    try:
        web.start()
        yield web
    finally:
        web.stop()
