"""
Waiting for lines of the feed without asking the tables all the time.

On PostgreSQL the transaction that adds lines notifies, and one connection of a process listens for all who wait; on
SQLite one thread looks at the file's change counter. A signal only means "look again", so a needless one is harmless.
"""

import contextlib
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import structlog
from sqlalchemy import Engine

from models.db.errors import is_database_unavailable
from models.queries.change_feed import CHANNEL
from workers.runtime.process import reader

log = structlog.get_logger()

# Seconds between looks at SQLite's counter, which takes some microseconds.
LOOK_SECONDS = 0.1
# Seconds that a listener waits in one go before it sees whether anybody still wants it.
LISTEN_SECONDS = 0.5
# Seconds until a database that is away is asked again.
AWAY_SECONDS = 1.0
# Seconds without anybody waiting after which the connection is given back.
IDLE_SECONDS = 30.0


class FeedWatch:
    """Wakes who waits. `mark` before reading, `wait` after it: what came between is not missed."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._changed = threading.Condition()
        self._rung = 0
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._closed = False

    def mark(self) -> int:
        """Return how often it rang so far."""
        return self._rung

    def wait(self, mark: int, seconds: float) -> None:
        """Wait until it rings once more than at `mark`, or for that long."""
        with self._changed:
            self._waiting += 1
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._watch, name="feed", daemon=True)
                self._thread.start()
            self._changed.wait_for(lambda: self._rung != mark or self._closed, seconds)
            self._waiting -= 1

    def close(self) -> None:
        """Wake everybody, and end the thread."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _ring(self) -> None:
        with self._changed:
            self._rung += 1
            self._changed.notify_all()

    def _watch(self) -> None:
        while self._wanted():
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001 -- a thread that ended would leave all who wait to their clocks
                # Those who wait look for themselves, and tell their callers.
                self._ring()
                if not is_database_unavailable(error):
                    log.error("the feed is not watched", error=type(error).__name__)  # noqa: TRY400 -- it may quote rows
                with self._changed:
                    self._changed.wait_for(lambda: self._closed, AWAY_SECONDS)

    def _wanted(self) -> bool:
        """Tell whether to go on; if not, the thread ends, and the next one who waits starts another."""
        with self._changed:
            if not self._waiting:
                self._changed.wait_for(lambda: self._waiting or self._closed, IDLE_SECONDS)
            if self._closed or not self._waiting:
                self._thread = None
                return False
            return True

    def _listen(self) -> None:
        postgresql = self._engine.dialect.name == "postgresql"
        with _driver(self._engine) as driver:
            rings = _notified(driver) if postgresql else self._counted(driver)
            for rang in rings:
                if rang:
                    self._ring()
                if not self._wanted_now():
                    return

    def _counted(self, driver: Any) -> Iterator[bool]:
        # The first one rings: for what came while nobody looked.
        seen = None
        while True:
            counter = driver.execute("PRAGMA data_version").fetchone()[0]
            yield counter != seen
            seen = counter
            with self._changed:
                self._changed.wait_for(lambda: self._closed, LOOK_SECONDS)

    def _wanted_now(self) -> bool:
        with self._changed:
            if not self._waiting:
                self._changed.wait_for(lambda: self._waiting or self._closed, IDLE_SECONDS)
            return bool(self._waiting) and not self._closed


def _notified(driver: Any) -> Iterator[bool]:
    driver.execute(f"LISTEN {CHANNEL}")
    # For what came while nobody listened.
    yield True
    while True:
        yield any(True for _ in driver.notifies(timeout=LISTEN_SECONDS, stop_after=1))


@contextlib.contextmanager
def _driver(engine: Engine) -> Iterator[Any]:
    """Give a connection of the driver's own, outside of the pool: it is held for long."""
    held = engine.raw_connection()
    driver: Any = held.driver_connection
    held.detach()
    try:
        if engine.dialect.name == "postgresql":
            driver.rollback()
            driver.autocommit = True
        yield driver
    finally:
        held.close()


@cache
def shared_feed_watch() -> FeedWatch:
    """Return this process's."""
    return FeedWatch(reader())
