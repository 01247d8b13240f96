"""
The threads that read the pages of a run, and the queue in which the results wait to be written.

Calls to Intercom take long and cost no CPU time, so many are made in parallel, while few threads write. The queue is
short: what a killed process had read but not written is a page or two of each thread.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

from workers.sync import company_pages, contact_pages, missing_objects, short_lists
from workers.sync.run_parts import PageResult, Part, RunContext

# Calls in parallel. At 200 ms a call that is 80 a second, half of what Intercom allows an app in a workspace (10,000 a
# minute), and more pages than one process can write.
THREADS = 16

# Results written in one transaction at most. Each has a page of up to 150 objects; a transaction of that many takes a
# fraction of a second, for which the other writers of a SQLite file wait.
MAX_RESULTS = 4

# Seconds after which a thread without work checks whether the readers were closed.
_POLL_SECONDS = 0.5

# By the kind of a part, the function that reads it from its cursor on and yields one result per page.
_READERS: dict[str, Callable[[RunContext, Part], Iterator[PageResult]]] = {
    "tags": short_lists.read_tags,
    "segments": short_lists.read_segments,
    "attributes": short_lists.read_data_attributes,
    "companies": company_pages.read_companies,
    "plan": contact_pages.plan_windows,
    "contacts": contact_pages.read_window,
    "members": contact_pages.read_segment_members,
    "leavers": contact_pages.find_segment_leavers,
    "late": contact_pages.read_late_changes,
    "confirm": missing_objects.look_up_missing,
}


def read_part(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read a part from its cursor on, one result per page. Raises IntercomError, TooManyMissingError."""
    return _READERS[part.kind](context, part)


class PartFailure(NamedTuple):
    """An error that ended the reading of a part."""

    part: Part
    error: Exception


class _QueueEntry(NamedTuple):
    """A result or failure that waits; entries sort by priority (0 first), then by the order in which they were read."""

    priority: int
    number: int
    item: PageResult | PartFailure

    @property
    def part(self) -> str:
        """The name of the entry's part."""
        return self.item.part if isinstance(self.item, PageResult) else self.item.part.name


class PageReaders:
    """
    Threads that read the parts of one run.

    Each thread repeats these steps until `close`:

    1. Take a part from the parts that were added.
    2. Read its next page (`read_part`).
    3. Wait until the queue has space, and put the result into it. Results that must not wait go in at once and are
       taken first, see `_priority`.
    4. Repeat from 2 until the part is finished. If reading raises an error, put a PartFailure into the queue instead.

    Several writers may call `take_results`: the results of one part go to one of them at a time, in their order. After
    `close`, each thread ends with its current call.
    """

    def __init__(self, context: RunContext, threads: int = THREADS) -> None:
        self.context = context
        # Set when a part was finished, failed or added others: there may be parts to add.
        self.parts_changed = threading.Event()
        self._queue_limit = threads
        self._parts: queue.SimpleQueue[Part] = queue.SimpleQueue()
        self._numbers = count()
        # Guards the attributes below, and is notified of each change.
        self._condition = threading.Condition()
        self._closed = False
        self._active: set[str] = set()
        self._waiting: list[_QueueEntry] = []
        self._writing: set[str] = set()
        for number in range(threads):
            # Daemon threads, so that a call that hangs does not keep the process from exiting.
            threading.Thread(target=self._run_thread, name=f"sync-{number}", daemon=True).start()

    @property
    def active_parts(self) -> frozenset[str]:
        """Names of the parts that are being read or written."""
        with self._condition:
            return frozenset(self._active)

    @property
    def is_closed(self) -> bool:
        """Whether `close` was called."""
        return self._closed

    def add(self, part: Part) -> None:
        """Have a part read, unless it is being read or written."""
        with self._condition:
            if part.name in self._active:
                return
            self._active.add(part.name)
        self._parts.put(part)

    def take_results(self, seconds: float) -> list[PageResult]:
        """
        Wait for results, and take up to MAX_RESULTS of parts that no other writer has results of.

        Args:
            seconds: how long to wait.

        Returns:
            Results that belong to the caller until `mark_written`; none after the time is over, or after `close`.
        """
        with self._condition:
            self._condition.wait_for(lambda: self._closed or bool(self._available(PageResult)), seconds)
            taken = [] if self._closed else self._available(PageResult)[:MAX_RESULTS]
            self._remove(taken)
            self._writing.update(entry.part for entry in taken)
        return [entry.item for entry in taken if isinstance(entry.item, PageResult)]

    def mark_written(self, results: Iterable[PageResult]) -> None:
        """Make the parts of these results available to other writers; finished parts are no longer active."""
        with self._condition:
            self._writing.difference_update(result.part for result in results)
            self._active.difference_update(result.part for result in results if result.done)
            self._condition.notify_all()
        if any(result.done or result.new_parts for result in results):
            self.parts_changed.set()

    def take_failures(self) -> list[PartFailure]:
        """Take the failures of parts whose results are all written; these parts are no longer active."""
        with self._condition:
            taken = self._available(PartFailure)
            self._remove(taken)
            self._active.difference_update(entry.part for entry in taken)
        return [entry.item for entry in taken if isinstance(entry.item, PartFailure)]

    def close(self) -> None:
        """End the threads after their current calls."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def _available(self, item_type: type) -> list[_QueueEntry]:
        """Return the entries of a type that no earlier entry of the same part is waiting or being written before."""
        available, busy = [], set(self._writing)
        for entry in sorted(self._waiting):
            if isinstance(entry.item, item_type) and entry.part not in busy:
                available.append(entry)
            else:
                busy.add(entry.part)
        return available

    def _remove(self, entries: Sequence[_QueueEntry]) -> None:
        numbers = {entry.number for entry in entries}
        self._waiting = [entry for entry in self._waiting if entry.number not in numbers]
        self._condition.notify_all()

    def _run_thread(self) -> None:
        while not self._closed:
            try:
                part = self._parts.get(timeout=_POLL_SECONDS)
            except queue.Empty:
                continue
            try:
                for result in read_part(self.context, part):
                    if not self._put(result):
                        return
            except Exception as error:  # noqa: BLE001 -- the worker decides what follows from it
                self._put(PartFailure(part, error))
                self.parts_changed.set()

    def _put(self, item: PageResult | PartFailure) -> bool:
        """Put an item into the queue; returns False if the readers were closed."""
        priority = _priority(item)
        with self._condition:
            self._condition.wait_for(lambda: self._closed or len(self._waiting) < self._queue_limit or not priority)
            self._waiting.append(_QueueEntry(priority, next(self._numbers), item))
            self._condition.notify_all()
        return not self._closed


def _priority(item: PageResult | PartFailure) -> int:
    """
    Return 0 for results that go before pages of contacts and do not wait for space in the queue, else 1.

    These are the results that add new parts, without which threads may be idle. Such a result is the only one of its
    part, so it overtakes no page of that part. Pages of companies are among them too, because each can only be read
    after the previous one: any wait between two of them makes the whole run longer.
    """
    if isinstance(item, PartFailure):
        return 1
    return 0 if item.part == "companies" or (item.new_parts and not item.reports) else 1
