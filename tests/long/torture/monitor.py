"""Monitoring a run from outside: does the web process respond, does the inbox move, how much memory is used."""

import http.client
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Self

import psutil
from redis.exceptions import RedisError

from settings.units import MS_PER_SECOND
from tests.long.torture.system_under_test import PROXIES, SystemUnderTest
from workers.runtime.redis_keys import INBOX

# Seconds between two measurements, and for one response of /healthz.
POLL_SECONDS = 0.5
_HEALTH_SECONDS = 2.0

# Seconds of an inbox stall that are logged at once, next to the faults, so that one sees which of them caused it.
LOGGED_STALL_SECONDS = 4.0

_MEBIBYTE = 1024 * 1024


class LongestGap:
    """The longest time between two successful checks."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._last_success = time.monotonic()

    def succeeded(self) -> None:
        """Record a successful check."""
        self._measure()
        self._last_success = time.monotonic()

    def failed(self) -> None:
        """Record a failed check."""
        self._measure()

    def current(self) -> float:
        """Return the seconds since the last successful check."""
        return time.monotonic() - self._last_success

    def _measure(self) -> None:
        self.longest = max(self.longest, self.current())


class Monitor:
    """
    Measures the system twice a second while it is used as a context manager.

    `web_outage`: how long /healthz did not respond with 200; `inbox_stall`: how long one worker took nothing off an
    inbox that was not empty; `oldest`: how long an entry waited; all in seconds, at most. `memory`: MiB by process in
    every measurement.
    """

    def __init__(self, system: SystemUnderTest, log: Callable[[str], None]) -> None:
        self.web_outage = LongestGap()
        self.inbox_stall = LongestGap()
        self.deepest = 0
        self.oldest = 0.0
        self.memory: dict[str, list[float]] = defaultdict(list)
        self._system, self._log = system, log
        self._removed_entries = self._worker_pid = -1
        self._stop = threading.Event()
        measurements = (self._check_web, self._check_inbox, self._measure_memory)
        self._threads = [threading.Thread(target=self._run, args=(each,), daemon=True) for each in measurements]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _run(self, measure: Callable[[], None]) -> None:
        while not self._stop.wait(POLL_SECONDS):
            measure()

    def _check_web(self) -> None:
        if is_alive(self._system.web_port):
            self.web_outage.succeeded()
        else:
            self.web_outage.failed()

    def _check_inbox(self) -> None:
        try:
            stream: Any = self._system.redis.xinfo_stream(INBOX)
        except RedisError:
            # Valkey was just killed, or there is no entry yet. The stall goes on.
            return
        depth, removed_entries = stream["length"], stream["entries-added"] - stream["length"]
        self.deepest = max(self.deepest, depth)
        if depth:
            oldest_ms = int(stream["first-entry"][0].partition(b"-")[0])
            self.oldest = max(self.oldest, time.time() - oldest_ms / MS_PER_SECOND)
        worker_pid = self._system.process("worker").pid
        if depth and (removed_entries, worker_pid) == (self._removed_entries, self._worker_pid):
            self.inbox_stall.failed()
            return
        self._worker_pid = worker_pid
        if (stall := self.inbox_stall.current()) > LOGGED_STALL_SECONDS:
            self._log(f"       the inbox stalled for {stall:.1f} s")
        self.inbox_stall.succeeded()
        self._removed_entries = removed_entries

    def _measure_memory(self) -> None:
        for name in PROXIES:
            process = self._system.process(name)
            if not process.has_exited():
                self._record_memory(name, process.pid)
            for child in process.children():
                self._record_memory(f"{name}'s child", child.pid)

    def _record_memory(self, name: str, pid: int) -> None:
        try:
            self.memory[name].append(psutil.Process(pid).memory_info().rss / _MEBIBYTE)
        except psutil.NoSuchProcess:
            return


def is_alive(port: int) -> bool:
    """Return whether /healthz responds with 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_HEALTH_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_alive(port: int, seconds: float) -> None:
    """Wait for the first successful response of the web process."""
    until = time.monotonic() + seconds
    while not is_alive(port):
        assert time.monotonic() < until, "the web process does not respond"
        time.sleep(0.1)
