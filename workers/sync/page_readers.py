"""
The crew of a run: threads that read pages, and a queue in which the pages wait to be written.

Calls to Intercom take long and cost nothing, so many are made side by side, and few threads write. The queue is short,
so what a killed process had read and not written is a page or two for each thread.
"""

import queue
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import count
from typing import NamedTuple

import structlog

from workers.sync import company_pages, contact_pages, missing_objects, short_lists
from workers.sync.parts import PageResult, Part, RunContext

log = structlog.get_logger()

# Calls at the same time. At 200 ms a call that is 80 a second, half of what Intercom allows an app in a workspace
# (10,000 a minute), and more pages than one process can write.
THREADS = 16

# Steps that are written in one transaction at most. Each has a page of up to 150 objects; a transaction of so many
# takes a fraction of a second, for which the other writers of a SQLite file wait.
MOST_STEPS = 4

# Seconds between looks whether the crew was dismissed, while there is nothing to read.
_LOOK_SECONDS = 0.5


_READERS: dict[str, Callable[[RunContext, Part], Iterator[PageResult]]] = {
    "tags": short_lists.tags,
    "segments": short_lists.segments,
    "attributes": short_lists.attributes,
    "companies": company_pages.companies,
    "plan": contact_pages.plan,
    "contacts": contact_pages.window,
    "members": contact_pages.members,
    "leavers": contact_pages.leavers,
    "late": contact_pages.late,
    "confirm": missing_objects.confirm,
}


def read_part(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read a part from where its cursor is, one step a page. Raises IntercomError, TooManyGoneError."""
    return _READERS[part.kind](context, part)


class PartFailure(NamedTuple):
    """A part broke off."""

    part: Part
    error: Exception


class _Entry(NamedTuple):
    """What waits to be written; entries are taken in their order. `number`: in the order in which they were read."""

    urgency: int
    number: int
    read: PageResult | PartFailure

    @property
    def part(self) -> str:
        """The name of the part that it is of."""
        return self.read.part if isinstance(self.read, PageResult) else self.read.part.part


class PageReaders:
    """
    Reads the parts that it is given; nothing of it outlives `dismiss` for longer than a call takes.

    Several may write: what is read of a part goes to one of them at a time, in its order.
    """

    def __init__(self, context: RunContext, threads: int = THREADS) -> None:
        self.context = context
        # Set whenever a part ended, broke off or made others: somebody should look what is to be given.
        self.news = threading.Event()
        self._most_waiting = threads
        self._parts: queue.SimpleQueue[Part] = queue.SimpleQueue()
        self._numbers = count()
        # This guards what follows, and is told of each change.
        self._changed = threading.Condition()
        self._dismissed = False
        self._in_hand: set[str] = set()
        self._waiting: list[_Entry] = []
        self._writing: set[str] = set()
        for number in range(threads):
            # Daemons: a call that hangs must not keep the process from stopping.
            threading.Thread(target=self._work, name=f"sync-{number}", daemon=True).start()

    @property
    def in_hand(self) -> frozenset[str]:
        """The parts that are being read or written."""
        with self._changed:
            return frozenset(self._in_hand)

    @property
    def is_dismissed(self) -> bool:
        """Whether its work is not wanted any more."""
        return self._dismissed

    def give(self, part: Part) -> None:
        """Have a part read, unless that is being done."""
        with self._changed:
            if part.part in self._in_hand:
                return
            self._in_hand.add(part.part)
        self._parts.put(part)

    def take(self, seconds: float) -> list[PageResult]:
        """
        Wait for pages and return some, of parts of which nobody else writes any; until `written` they are the caller's.

        Nothing is returned if there is none in so many seconds, or if the crew is dismissed.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._dismissed or bool(self._free(PageResult)), seconds)
            taken = [] if self._dismissed else self._free(PageResult)[:MOST_STEPS]
            self._remove(taken)
            self._writing.update(entry.part for entry in taken)
        return [entry.read for entry in taken if isinstance(entry.read, PageResult)]

    def written(self, steps: Iterable[PageResult]) -> None:
        """Forget what is written now."""
        with self._changed:
            self._writing.difference_update(step.part for step in steps)
            self._in_hand.difference_update(step.part for step in steps if step.done)
            self._changed.notify_all()
        if any(step.done or step.more for step in steps):
            self.news.set()

    def failures(self) -> list[PartFailure]:
        """Return the parts that broke off and whose pages are written; they can be given anew."""
        with self._changed:
            taken = self._free(PartFailure)
            self._remove(taken)
            self._in_hand.difference_update(entry.part for entry in taken)
        return [entry.read for entry in taken if isinstance(entry.read, PartFailure)]

    def dismiss(self) -> None:
        """Let the threads end after the call they are in."""
        with self._changed:
            self._dismissed = True
            self._changed.notify_all()

    def _free(self, kind: type) -> list[_Entry]:
        """Return what waits and is of that kind, but nothing that others of its part must go before."""
        found, busy = [], set(self._writing)
        for entry in sorted(self._waiting):
            if isinstance(entry.read, kind) and entry.part not in busy:
                found.append(entry)
            else:
                busy.add(entry.part)
        return found

    def _remove(self, entries: Sequence[_Entry]) -> None:
        gone = {entry.number for entry in entries}
        self._waiting = [entry for entry in self._waiting if entry.number not in gone]
        self._changed.notify_all()

    def _work(self) -> None:
        while not self._dismissed:
            try:
                part = self._parts.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            try:
                for step in read_part(self.context, part):
                    if not self._hand_over(step):
                        return
            except Exception as error:  # noqa: BLE001 -- whatever it was, the others go on
                self._hand_over(PartFailure(part, error))
                self.news.set()

    def _hand_over(self, read: PageResult | PartFailure) -> bool:
        urgency = _urgency(read)
        with self._changed:
            self._changed.wait_for(lambda: self._dismissed or len(self._waiting) < self._most_waiting or not urgency)
            self._waiting.append(_Entry(urgency, next(self._numbers), read))
            self._changed.notify_all()
        return not self._dismissed


def _urgency(read: PageResult | PartFailure) -> int:
    """
    Let some go before pages of contacts, and wait for no room.

    These are the steps that make new parts, without which threads may be idle; such a step is the only one of its part,
    so that no page of that part is overtaken. And companies, whose pages can only be asked for one after the other:
    any wait between two of them makes the whole fill longer.
    """
    if isinstance(read, PartFailure):
        return 1
    return 0 if read.part == "companies" or (read.more and not read.reports) else 1
