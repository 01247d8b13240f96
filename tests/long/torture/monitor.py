"""Watching a run from outside: is the web alive, does the inbox move, how much memory do the processes hold."""

import http.client
import threading
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any, Self

import psutil
from redis.exceptions import RedisError

from tests.long.torture.system_under_test import LINKS, SystemUnderTest
from workers.runtime.redis_keys import INBOX

# Seconds between looks, and for one answer of /healthz.
LOOK_SECONDS = 0.5
_HEALTH_SECONDS = 2.0

# Seconds of standstill that are told at once, beside the faults, so that one sees which of them it was.
REMARKABLE_SECONDS = 4.0

_MEBIBYTE = 1024 * 1024


class LongestGap:
    """The longest time between two good moments."""

    def __init__(self) -> None:
        self.longest = 0.0
        self._since = time.monotonic()

    def good(self) -> None:
        """Now is a good moment."""
        self._measure()
        self._since = time.monotonic()

    def lasts(self) -> float:
        """Return how long the last good moment is ago, in seconds."""
        return time.monotonic() - self._since

    def bad(self) -> None:
        """It still is not."""
        self._measure()

    def _measure(self) -> None:
        self.longest = max(self.longest, self.lasts())


class Monitor:
    """
    Looks at a bed twice a second while it is used as a context manager.

    `silence`: how long /healthz was not answered 200; `standstill`: how long one worker took nothing off an inbox that
    was not empty; `oldest`: how long an entry waited; all in seconds, at most. `memory`: MiB by process at every look.
    """

    def __init__(self, bed: SystemUnderTest, say: Callable[[str], None]) -> None:
        self.silence = LongestGap()
        self.standstill = LongestGap()
        self.deepest = 0
        self.oldest = 0.0
        self.memory: dict[str, list[float]] = defaultdict(list)
        self._bed, self._say = bed, say
        self._taken_off = self._worker = -1
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run, args=(look,), daemon=True) for look in self._looks()]

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _looks(self) -> list[Callable[[], None]]:
        return [self._look_at_web, self._look_at_inbox, self._look_at_memory]

    def _run(self, look: Callable[[], None]) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            look()

    def _look_at_web(self) -> None:
        if is_alive(self._bed.web_port):
            self.silence.good()
        else:
            self.silence.bad()

    def _look_at_inbox(self) -> None:
        try:
            stream: Any = self._bed.redis.xinfo_stream(INBOX)
        except RedisError:
            # Killed a moment ago, or nothing has come yet. The clock of the standstill goes on.
            return
        depth, taken_off = stream["length"], stream["entries-added"] - stream["length"]
        self.deepest = max(self.deepest, depth)
        if depth:
            self.oldest = max(self.oldest, time.time() - int(stream["first-entry"][0].partition(b"-")[0]) / 1000)
        worker = self._bed.process("worker").pid
        if depth and (taken_off, worker) == (self._taken_off, self._worker):
            self.standstill.bad()
            return
        self._worker = worker
        if (still := self.standstill.lasts()) > REMARKABLE_SECONDS:
            self._say(f"       the inbox stood still for {still:.1f} s")
        self.standstill.good()
        self._taken_off = taken_off

    def _look_at_memory(self) -> None:
        for name in LINKS:
            process = self._bed.process(name)
            if not process.has_ended():
                self._note(name, process.pid)
            for child in process.children():
                self._note(f"{name}'s child", child.pid)

    def _note(self, name: str, pid: int) -> None:
        try:
            self.memory[name].append(psutil.Process(pid).memory_info().rss / _MEBIBYTE)
        except psutil.NoSuchProcess:
            return


def is_alive(port: int) -> bool:
    """Ask /healthz."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_HEALTH_SECONDS)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def wait_until_alive(port: int, seconds: float) -> None:
    """Wait for the first answer of the web process."""
    until = time.monotonic() + seconds
    while not is_alive(port):
        assert time.monotonic() < until, "the web process does not answer"
        time.sleep(0.1)
