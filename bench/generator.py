"""
A closed-loop load generator: keep-alive connections that each send their next request when the last is answered.

It is a process of its own, so that its CPU time is not counted as that of a server. Everything is signed and
encoded before the first byte is sent, and it speaks raw non-blocking sockets, because the CPU time it takes is
taken from the servers it measures when all share one machine.
"""

import json
import re
import selectors
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field

from bench import bodies

# Seconds without a single answer after which the run is given up: Intercom itself waits 5.
_SILENCE_SECONDS = 10.0
_BUFFER_BYTES = 65536
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


@dataclass
class Outcome:
    """
    What was seen from outside.

    Attributes:
        first_sent, last_answered: seconds on the system-wide monotonic clock.
        latencies_ms: of each 200, from the first byte sent to the last byte of the answer.
        refused: number of answers other than 200, by status.
        cpu_seconds: what the generator itself used between the two times.
    """

    first_sent: float = 0.0
    last_answered: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0


class _Connection:
    """One keep-alive connection and the request it waits for."""

    def __init__(self, address: tuple[str, int]) -> None:
        self.socket = socket.create_connection(address, timeout=5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.settimeout(0)
        self.sent_at = 0.0
        self.received = b""

    def send(self, request: bytes) -> None:
        """Send one request."""
        self.received = b""
        self.sent_at = time.monotonic()
        # The kernel's buffer is empty here, since the last answer came, and far larger than one request.
        self.socket.sendall(request)

    def receive(self) -> str | None:
        """Return the status once the answer is whole, None before."""
        chunk = self.socket.recv(_BUFFER_BYTES)
        if not chunk:
            raise ConnectionError("The server closed a keep-alive connection.")
        self.received += chunk
        head, separator, rest = self.received.partition(b"\r\n\r\n")
        length = _CONTENT_LENGTH.search(head)
        if not separator or len(rest) < (int(length.group(1)) if length else 0):
            return None
        return head[9:12].decode()


def run(address: tuple[str, int], requests: list[bytes], connections: int) -> Outcome:
    """
    Send all requests and return what was seen.

    Raises:
        ConnectionError: the server closed a connection.
        TimeoutError: no answer came for ten seconds.
    """
    outcome = Outcome()
    queue = iter(requests)
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        idle = [_Connection(address) for _ in range(connections)]
        for connection in idle:
            stack.callback(connection.socket.close)
        cpu_before, outcome.first_sent = time.process_time(), time.monotonic()
        waiting = sum(_send_next(selector, connection, queue) for connection in idle)
        while waiting:
            waiting -= _answered(selector, queue, outcome)
        outcome.cpu_seconds = time.process_time() - cpu_before
    return outcome


def _send_next(selector: selectors.BaseSelector, connection: _Connection, queue: Iterator[bytes]) -> bool:
    request = next(queue, None)
    if request is None:
        return False
    connection.send(request)
    if connection.socket not in selector.get_map():
        selector.register(connection.socket, selectors.EVENT_READ, connection)
    return True


def _answered(selector: selectors.BaseSelector, queue: Iterator[bytes], outcome: Outcome) -> int:
    """Handle what arrived; return how many connections have no more to do."""
    finished = 0
    ready = selector.select(_SILENCE_SECONDS)
    if not ready:
        raise TimeoutError(f"No answer for {_SILENCE_SECONDS:.0f} s.")
    for key, _ in ready:
        connection: _Connection = key.data
        status = connection.receive()
        if status is None:
            continue
        outcome.last_answered = time.monotonic()
        if status == "200":
            outcome.latencies_ms.append((outcome.last_answered - connection.sent_at) * 1000)
        else:
            outcome.refused[status] = outcome.refused.get(status, 0) + 1
        if not _send_next(selector, connection, queue):
            selector.unregister(connection.socket)
            finished += 1
    return finished


def main() -> None:
    """Read a job as one JSON line, say "ready", wait for "go", answer with one JSON line."""
    job = json.loads(sys.stdin.readline())
    host, port = job["address"]
    plan = bodies.Plan(**job["plan"])
    requests = [bodies.request(body, job["path"], f"{host}:{port}") for body in bodies.bodies(plan)]
    _say("ready")
    sys.stdin.readline()
    _say(json.dumps(asdict(run((host, port), requests, job["connections"]))))


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
