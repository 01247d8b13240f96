"""One turn of the process that does long jobs: look what is due, then work for a while."""

import time
from datetime import UTC, datetime
from functools import cache

from workers.connections import registry
from workers.runtime.process import engine, reader
from workers.sync.schedule import ask_due
from workers.sync.worker import Desk, Tools

# Seconds of one turn; a shutdown waits for the end of one.
TURN_SECONDS = 8.0


def turn() -> bool:
    """
    Do a turn's work; returns whether there is more to do, so that somebody should ring again.

    Raises:
        sqlalchemy.exc.OperationalError: the database is away; what was written stays, the rest is done later.
    """
    ask_due(reader(), engine(), datetime.now(UTC))
    return desk().work(time.monotonic() + TURN_SECONDS)


@cache
def desk() -> Desk:
    """Return what this process has in hand."""
    return Desk(Tools(engine(), reader(), registry.client_of, registry.end_refused_connections))
