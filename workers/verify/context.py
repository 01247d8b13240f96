"""What a verification works with."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Engine

from intercom_api.http.client import IntercomClient
from workers.facts.from_fetch import Fetch

# Seconds for which a difference must stay the same before it is certain: Intercom sends a refused notification again
# after a minute, and it must then be applied.
PATIENCE_SECONDS = 75.0

# Calls to Intercom in parallel; at 200 ms each they make about a quarter of the calls that an app is allowed.
THREADS = 8

# Called with the number of objects done, the number expected (None if unknown), and what is being done.
ProgressCallback = Callable[[int, int | None, str], None]


def _no_progress(_done: int, _expected: int | None, _activity: str) -> None:
    pass


@dataclass(frozen=True)
class VerifyContext:
    """
    Access to both sides, and to the clock.

    Attributes:
        reader: an engine for SELECTs.
        writer: an engine for `transaction`; it writes the result, and with a repair marks objects for a refetch.
        client: of the workspace.
        fetch: fetches one object by its id, with complete lists.
        inbox_age: returns for how many seconds the oldest notification has waited in the inbox, 0 if it is empty.
        patience: see PATIENCE_SECONDS.
        clock: returns seconds that never go backwards.
        sleep: waits for some seconds.
        progress: called from one thread after each page or batch.
        seed: of the random sample.
    """

    reader: Engine
    writer: Engine
    client: IntercomClient
    fetch: Fetch
    inbox_age: Callable[[], float]
    patience: float = PATIENCE_SECONDS
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    progress: ProgressCallback = field(default=_no_progress)
    seed: int = 0
