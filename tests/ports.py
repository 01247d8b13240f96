"""Free TCP ports for the servers that tests start; tests that run at the same time never get the same port."""

import os
import socket
from itertools import count

# Below the ports that Linux (from 32768 on) and macOS (from 49152 on) give to outgoing connections: a server that is
# killed and started again must find its port free.
_FIRST_PORT = 12_000
# Ports per test process.
_PORTS = 1_000
# More test processes than run at the same time on one machine.
_PROCESSES = 20

_process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _PROCESSES
# Another run of the tests on this machine starts at another number.
_numbers = count(os.getpid())


def free_port() -> int:
    """Return a port that is not in use, and that no other process of this test run gets."""
    for number in _numbers:
        port = _FIRST_PORT + number % _PORTS * _PROCESSES + _process
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("The numbers never end.")
