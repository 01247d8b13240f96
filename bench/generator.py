"""
A closed-loop load generator: keep-alive connections that each send the next request after a response.

It is a process of its own, so that its CPU time is not counted as that of a server. Everything is signed and encoded
before the first byte is sent, and it uses raw non-blocking sockets, because on one machine its CPU time is taken from
the servers that it measures.
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
from settings.units import MS_PER_SECOND

# Seconds without any response after which the run fails; Intercom itself waits 5.
_RESPONSE_TIMEOUT_SECONDS = 10.0
_BUFFER_BYTES = 65536
_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


@dataclass
class Outcome:
    """
    What the client measured.

    Attributes:
        first_sent, last_answered: seconds on the system-wide monotonic clock.
        latencies_ms: of each 200, from the first byte sent to the last byte of the response.
        refused: number of responses other than 200, by status.
        cpu_seconds: CPU time of the generator itself between the two times.
    """

    first_sent: float = 0.0
    last_response: float = 0.0
    latencies_ms: list[float] = field(default_factory=list)
    refused: dict[str, int] = field(default_factory=dict)
    cpu_seconds: float = 0.0


class _Connection:
    """One keep-alive connection and its current request."""

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
        # The kernel's buffer is empty after the last response, and much larger than one request.
        self.socket.sendall(request)

    def receive(self) -> str | None:
        """Return the status once the response is complete, None before."""
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
    Send all requests and return the measurements.

    1. Send a request on each connection.
    2. Wait for responses; record each, and send the next request on its connection.
    3. Return when all requests have a response.

    Raises:
        ConnectionError: the server closed a connection.
        TimeoutError: no response for ten seconds.
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
            waiting -= _handle_responses(selector, queue, outcome)
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


def _handle_responses(selector: selectors.BaseSelector, queue: Iterator[bytes], outcome: Outcome) -> int:
    """Handle the responses that arrived; return how many connections have no more requests."""
    finished = 0
    ready = selector.select(_RESPONSE_TIMEOUT_SECONDS)
    if not ready:
        raise TimeoutError(f"No response for {_RESPONSE_TIMEOUT_SECONDS:.0f} s.")
    for key, _ in ready:
        connection: _Connection = key.data
        status = connection.receive()
        if status is None:
            continue
        outcome.last_response = time.monotonic()
        if status == "200":
            outcome.latencies_ms.append((outcome.last_response - connection.sent_at) * MS_PER_SECOND)
        else:
            outcome.refused[status] = outcome.refused.get(status, 0) + 1
        if not _send_next(selector, connection, queue):
            selector.unregister(connection.socket)
            finished += 1
    return finished


def main() -> None:
    """Read a job as one JSON line, write "ready", wait for "go", and write the outcome as one JSON line."""
    job = json.loads(sys.stdin.readline())
    host, port = job["address"]
    plan = bodies.Plan(**job["plan"])
    requests = [bodies.request(body, job["path"], f"{host}:{port}") for body in bodies.bodies(plan)]
    _write_line("ready")
    sys.stdin.readline()
    _write_line(json.dumps(asdict(run((host, port), requests, job["connections"]))))


def _write_line(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
