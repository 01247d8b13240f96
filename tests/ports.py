"""Ports for the servers that tests start, such that tests which run at the same time never choose the same."""

import os
import socket
from itertools import count

# Below those that Linux (from 32768 on) and macOS (from 49152 on) give to outgoing connections: a server that is killed
# and started again must find its port free.
_FIRST = 12_000
_PLACES = 1_000
# More than anybody lets run at the same time on one machine.
_WORKERS = 20

_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
# Another run of the tests on this machine begins elsewhere.
_places = count(os.getpid())


def free_port() -> int:
    """Return a port that nobody listens on, and that no other worker of this run is given."""
    for place in _places:
        port = _FIRST + place % _PLACES * _WORKERS + _worker
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port
    raise AssertionError("The places never end.")
