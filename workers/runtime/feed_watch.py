"""
Waiting for changes in the feed without polling the tables.

On PostgreSQL, the transaction that adds changes also notifies, and one connection per process listens for all who wait.
On SQLite, one thread polls the change counter of the file. A signal only means "read again", so a needless one is
harmless.
"""

import contextlib
import threading
from collections.abc import Iterator
from functools import cache
from typing import Any

import structlog
from sqlalchemy import Engine

from models.db.database_errors import is_database_unavailable
from models.queries.change_feed import CHANNEL
from workers.runtime.process_resources import reader

log = structlog.get_logger()

# Seconds between reads of SQLite's change counter, each of which takes some microseconds.
POLL_SECONDS = 0.1
# Seconds of one wait for a notification, after which the listener checks whether any thread still waits.
LISTEN_SECONDS = 0.5
# Seconds until a database that is unavailable is tried again.
RETRY_SECONDS = 1.0
# Seconds without a waiting thread, after which the connection is closed.
IDLE_SECONDS = 30.0


class FeedWatch:
    """
    Wakes the threads that wait for changes.

    Call `mark` before reading the feed, and `wait` with that mark after it: a change in between is not missed.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._condition = threading.Condition()
        self._signals = 0
        self._waiting = 0
        self._thread: threading.Thread | None = None
        self._closed = False

    def mark(self) -> int:
        """Return the number of signals so far."""
        return self._signals

    def wait(self, mark: int, seconds: float) -> None:
        """Wait for the first signal after `mark`, or for `seconds`."""
        with self._condition:
            self._waiting += 1
            if self._thread is None and not self._closed:
                self._thread = threading.Thread(target=self._watch, name="feed", daemon=True)
                self._thread.start()
            self._condition.wait_for(lambda: self._signals != mark or self._closed, seconds)
            self._waiting -= 1

    def close(self) -> None:
        """Wake all waiting threads, and end the thread that watches."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join()

    def _signal(self) -> None:
        with self._condition:
            self._signals += 1
            self._condition.notify_all()

    def _watch(self) -> None:
        while self._keep_watching():
            try:
                self._listen()
            except Exception as error:  # noqa: BLE001 -- if this thread ended, the waiting ones would only time out
                # The waiting threads read for themselves, and report the error to their callers.
                self._signal()
                if not is_database_unavailable(error):
                    log.error("the feed is not watched", error=type(error).__name__)  # noqa: TRY400 -- it may quote rows
                with self._condition:
                    self._condition.wait_for(lambda: self._closed, RETRY_SECONDS)

    def _keep_watching(self) -> bool:
        """Return whether to go on. If not, the thread ends; the next `wait` starts another."""
        with self._condition:
            if not self._is_needed():
                self._thread = None
                return False
            return True

    def _is_needed(self) -> bool:
        # The caller holds the condition.
        if not self._waiting:
            self._condition.wait_for(lambda: self._waiting or self._closed, IDLE_SECONDS)
        return bool(self._waiting) and not self._closed

    def _listen(self) -> None:
        is_postgresql = self._engine.dialect.name == "postgresql"
        with _driver_connection(self._engine) as driver:
            for has_changed in _notifications(driver) if is_postgresql else self._counter_changes(driver):
                if has_changed:
                    self._signal()
                with self._condition:
                    if not self._is_needed():
                        return

    def _counter_changes(self, driver: Any) -> Iterator[bool]:
        # The first read is a signal too, for changes made while this thread did not run.
        previous = None
        while True:
            counter = driver.execute("PRAGMA data_version").fetchone()[0]
            yield counter != previous
            previous = counter
            with self._condition:
                self._condition.wait_for(lambda: self._closed, POLL_SECONDS)


def _notifications(driver: Any) -> Iterator[bool]:
    driver.execute(f"LISTEN {CHANNEL}")
    # For changes made while this thread did not listen.
    yield True
    while True:
        yield any(True for _ in driver.notifies(timeout=LISTEN_SECONDS, stop_after=1))


@contextlib.contextmanager
def _driver_connection(engine: Engine) -> Iterator[Any]:
    """Yield a connection of the database driver, outside the pool, because it is held for long."""
    pooled = engine.raw_connection()
    driver: Any = pooled.driver_connection
    pooled.detach()
    try:
        if engine.dialect.name == "postgresql":
            driver.rollback()
            driver.autocommit = True
        yield driver
    finally:
        pooled.close()


@cache
def shared_feed_watch() -> FeedWatch:
    """Return this process's."""
    return FeedWatch(reader())
