"""The benchmark's measurements, on real processes and sockets."""

import os
import socket
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench import generator, proxy, servers, triggers
from bench.processes import cpu_seconds, memory

_BURN = "import time\nwhile time.process_time() < 0.3: pass\n"


def test_cpu_of_ended_children_is_counted() -> None:
    """The CPU time of a worker's ended children counts as the worker's."""
    before = cpu_seconds(os.getpid())
    subprocess.run([sys.executable, "-c", _BURN], check=True)
    # The kernel counts in hundredths of a second.
    assert 0.25 <= cpu_seconds(os.getpid()) - before < 3


def test_memory_of_a_tree_is_at_least_that_of_its_largest_member_alone() -> None:
    """The proportional set sizes are read."""
    found = memory(os.getpid())
    assert found.largest > 5
    assert found.total > 5


def test_the_generator_sends_everything_and_counts_answers_by_status() -> None:
    """A refusal is counted apart, and does not stop the others."""
    answers = [b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", b"HTTP/1.1 503 X\r\nContent-Length: 2\r\n\r\nno"]
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = listener.getsockname()
        server = threading.Thread(target=_answer_in_turn, args=(listener, answers, 10))
        server.start()
        outcome = generator.run(address, [b"POST / HTTP/1.1\r\n\r\n"] * 10, connections=1)
        server.join()
    assert (len(outcome.latencies_ms), outcome.refused) == (5, {"503": 5})
    assert outcome.first_sent < outcome.last_response


def test_the_generator_fails_if_the_server_closes_a_connection() -> None:
    """The figures of such a run would be meaningless."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=_answer_in_turn, args=(listener, [b""], 1))
        server.start()
        with pytest.raises(ConnectionError):
            generator.run(listener.getsockname(), [b"POST / HTTP/1.1\r\n\r\n"], connections=1)
        server.join()


@pytest.fixture(scope="module")
def both() -> Iterator[tuple[servers.Postgres, servers.Valkey]]:
    """The benchmark's servers, in its own directory: PostgreSQL's user cannot enter pytest's directories."""
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        servers.postgres(Path(name)) as postgres,
        servers.valkey(Path(name)) as valkey,
    ):
        yield postgres, valkey


def test_the_same_calls_are_made_directly_and_through_the_proxy(both: tuple[servers.Postgres, servers.Valkey]) -> None:
    """Through a web process of the Procfile, with a connected user; any status but 200 is an error."""
    runs = proxy.measure(*both, 3, _discard)
    assert [(len(run.direct), len(run.proxied)) for run in runs] == [(6, 6)] * 3
    assert all(min(*run.direct, *run.proxied) > 0 for run in runs)


def test_each_notification_starts_one_run(both: tuple[servers.Postgres, servers.Valkey]) -> None:
    """Every notification becomes a row, a successful run, and one note in the emulator."""
    run = triggers.measure(*both, 50, 2, _discard)
    assert len(run.lags_ms) == 100
    assert min(run.lags_ms) > 0
    assert run.states == {"done": 100}
    assert run.once == 100


def _discard(_line: str) -> None:
    pass


def _answer_in_turn(listener: socket.socket, answers: list[bytes], requests: int) -> None:
    connection, _ = listener.accept()
    with connection:
        for number in range(requests):
            connection.recv(4096)
            connection.sendall(answers[number % len(answers)])
