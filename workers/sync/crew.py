"""
The crew of a run: threads that read pages, and a queue in which the pages wait to be written.

Calls to Intercom take long and cost nothing, so they are made side by side; one thread alone writes. The queue is
short, so what a killed process had read and not written is a page or two for each thread.
"""

import queue
import sys
import threading
from itertools import count
from typing import NamedTuple

import structlog

from workers.sync.parts import Context, Part, Step
from workers.sync.walkers import walk

log = structlog.get_logger()

# Calls at the same time. At 200 ms a call that is 50 a second, a third of what Intercom allows an app in a workspace
# (10,000 a minute), and about as many pages as one process can write.
THREADS = 10

# Steps that are written in one transaction at most. Each has a page of up to 150 objects; a transaction of so many
# takes a fraction of a second, for which the other writers of a SQLite file wait.
MOST_STEPS = 4

# Seconds for which a thread may compute while another one waits for the interpreter. The writing thread comes back from
# the database some forty times in a transaction, each time perhaps while a page is being read; with Python's 5 ms a
# fill took 6 to 20 % longer.
SWITCH_SECONDS = 0.0005

# Seconds between looks whether the crew was dismissed, while the queue is full.
_LOOK_SECONDS = 0.5


def give_way_quickly() -> None:
    """Have the threads of this process hand the interpreter on sooner than Python does by itself."""
    sys.setswitchinterval(SWITCH_SECONDS)


class Failure(NamedTuple):
    """A part broke off."""

    part: Part
    error: Exception


class _Entry(NamedTuple):
    """What waits to be written; entries are taken in their order. `number`: in the order in which they were read."""

    urgency: int
    number: int
    read: Step | Failure


class Crew:
    """Reads the parts that it is given; nothing of it outlives `dismiss` for longer than a call takes."""

    def __init__(self, context: Context, threads: int = THREADS) -> None:
        self.context = context
        self.in_hand: set[str] = set()
        self._parts: queue.SimpleQueue[Part] = queue.SimpleQueue()
        self._read: queue.PriorityQueue[_Entry] = queue.PriorityQueue(maxsize=threads)
        self._numbers = count()
        self._dismissed = threading.Event()
        for number in range(threads):
            # Daemons: a call that hangs must not keep the process from stopping.
            threading.Thread(target=self._work, name=f"sync-{number}", daemon=True).start()

    def give(self, part: Part) -> None:
        """Have a part read, unless that is being done."""
        if part.part not in self.in_hand:
            self.in_hand.add(part.part)
            self._parts.put(part)

    def take(self, seconds: float) -> list[Step | Failure]:
        """Wait for something that was read, and return it with what else is there."""
        taken: list[Step | Failure] = []
        try:
            taken.append(self._read.get(timeout=max(seconds, 0.001)).read)
            while len(taken) < MOST_STEPS:
                taken.append(self._read.get_nowait().read)
        except queue.Empty:
            pass
        return taken

    def done_with(self, name: str) -> None:
        """Forget a part that ended or broke off."""
        self.in_hand.discard(name)

    def dismiss(self) -> None:
        """Let the threads end after the call they are in."""
        self._dismissed.set()

    def _work(self) -> None:
        while not self._dismissed.is_set():
            try:
                part = self._parts.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            try:
                for step in walk(self.context, part):
                    if not self._hand_over(step):
                        return
            except Exception as error:  # noqa: BLE001 -- whatever it was, the others go on
                self._hand_over(Failure(part, error))

    def _hand_over(self, read: Step | Failure) -> bool:
        entry = _Entry(_urgency(read), next(self._numbers), read)
        while not self._dismissed.is_set():
            try:
                self._read.put(entry, timeout=_LOOK_SECONDS)
            except queue.Full:
                continue
            return True
        return False


def _urgency(read: Step | Failure) -> int:
    """Let new parts go before pages: until they are written, threads may be without work."""
    # Such a step is the only one of its part, so that no page of that part is overtaken.
    return 0 if isinstance(read, Step) and read.more and not read.reports else 1
