"""What a verification works with."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import Engine

from intercom_api.http.client import IntercomClient
from workers.facts.from_fetch import Fetch

# Seconds for which a difference must stay the same before it is believed: a notification that was refused is sent
# again after a minute, and must then be applied.
PATIENCE_SECONDS = 75.0

# Calls that wait for Intercom at the same time; at 200 ms each they make about a quarter of what an app may call.
THREADS = 8

# told(done, expected, what): where it is; `expected` None if nobody knows.
Progress = Callable[[int, int | None, str], None]


def _untold(_done: int, _expected: int | None, _what: str) -> None:
    pass


@dataclass(frozen=True)
class VerifyContext:
    """
    Both sides, and the time.

    Attributes:
        reader: an engine for SELECTs.
        writer: an engine for `transaction`; used for marks alone, and where repairs are wanted.
        client: of the workspace.
        fetch: how one object is asked for, whole.
        inbox_age: seconds that the oldest notification has waited in the inbox, 0 if it is empty.
        patience: seconds, see PATIENCE.
        clock: seconds, only ever growing.
        sleep: waits for some seconds.
        progress: is told how far it is, from one thread.
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
    progress: Progress = field(default=_untold)
    seed: int = 0
