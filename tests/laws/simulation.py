"""Simulate law (b): events happen, notifications arrive and dirty objects are fetched, all at the same time."""

import random
from collections.abc import Sequence
from datetime import timedelta

from intercom_api.errors import TransientError
from tests.laws import histories
from tests.laws.histories import Move
from tests.laws.mirrors import NOW, Mirror
from tests.laws.true_workspace import GetResult
from workers.facts.from_fetch import FetchResult, FoundObject, MergedContact, MissingObject

# More rounds than refetches ever need: what is dirty after them stays dirty.
ROUNDS = 30

# Workers that refetch at the same time, and so fetch the same objects.
WORKERS = 2

# Longer than the longest pause before an object is fetched again.
PAUSE = timedelta(hours=2)


class Simulation:
    """
    One history, delivered completely in the end, to one mirror.

    `rng` decides everything random: when a notification arrives, how often and with which others; when refetches run;
    what happens between the moment that a response describes and the moment it is applied; how far `as_of` is before
    the former; and which processes crash before their commit.
    """

    def __init__(self, mirror: Mirror, workspace_id: str, history: Sequence[Move], rng: random.Random) -> None:
        self.mirror = mirror
        self.workspace_id = workspace_id
        self.workspace = histories.start_workspace()
        self.rng = rng
        self.calendar = NOW
        self.fetches = 0
        self._moves = list(reversed(history))
        self._taken = 0
        self._outbox: list[bytes] = []
        self._delivered: list[bytes] = []
        self._workers = 0

    def run(self) -> None:
        while self._moves:
            self._perform_event()
            if self.rng.random() < 0.6:
                self._deliver_batch()
            if self.rng.random() < 0.4:
                self._refetch()
        self._collect_notifications()
        while self._outbox:
            self._deliver_batch()
        for _ in range(ROUNDS):
            self.workspace.now += 3000
            if not self._refetch():
                break

    def _perform_event(self) -> None:
        if self._moves:
            histories.perform(self.workspace, self._moves.pop(), in_full=True)

    def _collect_notifications(self) -> None:
        self._outbox += [notification.to(self.workspace_id) for notification in self.workspace.sent[self._taken :]]
        self._taken = len(self.workspace.sent)

    def _deliver_batch(self) -> None:
        """Deliver some of the pending notifications, and some of those that were delivered before."""
        self._collect_notifications()
        self.rng.shuffle(self._outbox)
        size = self.rng.choice((1, 2, 4, 20))
        batch, self._outbox = self._outbox[:size], self._outbox[size:]
        again = [body for body in self._delivered if self.rng.random() < 0.1]
        self._delivered += batch
        if self.rng.random() < 0.1:
            self.mirror.deliver(batch + again, crashes=True)
        self.mirror.deliver(batch + again)

    def _refetch(self) -> int:
        self.calendar += PAUSE
        self._workers += 1
        try:
            return self.mirror.refetch(self._fetch, self.calendar)
        finally:
            self._workers -= 1

    def _fetch(self, workspace_id: str, object_type: str, object_id: str) -> FetchResult:
        if workspace_id != self.workspace_id:
            raise TransientError("The object belongs to another workspace.", 1.0)
        self.fetches += 1
        self.workspace.now += self.rng.choice((0, 5, 300))
        result = fetch_result_of(self.workspace.get_by_id(object_type, object_id), self._as_of())
        # The response is under way: events and deliveries that happen now overtake it.
        if self.rng.random() < 0.3:
            self._perform_event()
        if self.rng.random() < 0.3:
            self._deliver_batch()
        if self.rng.random() < 0.1 and self._workers < WORKERS:
            self._refetch()
        return result

    def _as_of(self) -> int:
        """Return a time no later than the response: at times in whole seconds, less the request's duration."""
        now = self.workspace.now // 1000 * 1000 if self.rng.random() < 0.5 else self.workspace.now
        return now - self.rng.choice((0, 0, 120, 900, 1700))


def fetch_result_of(result: GetResult, as_of_ms: int) -> FetchResult:
    """Return what a fetch returns for the true result."""
    if result.object is not None:
        return FoundObject(result.object, as_of_ms, result.archived)
    return MissingObject(as_of_ms) if result.into is None else MergedContact(result.into, as_of_ms)
