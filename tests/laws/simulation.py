"""Law (b)'s play: a workspace lives, what it tells arrives, and doubtful objects are fetched, all at the same time."""

import random
from collections.abc import Sequence
from datetime import timedelta

from intercom_api.errors import TransientError
from tests.laws import histories
from tests.laws.histories import Move
from tests.laws.mirrors import NOW, Mirror
from tests.laws.true_workspace import GetResult
from workers.facts.from_fetch import FetchResult, FoundObject, MergedContact, MissingObject

# More rounds than any follow-up needs: one that is not done by then never will be.
ROUNDS = 30

# Workers that run follow-ups at the same time, and so fetch the same objects.
WORKERS = 2

# Longer than the longest pause before an object is asked for again.
PAUSE = timedelta(hours=2)


class Simulation:
    """
    One history, delivered completely in the end, to one mirror.

    Everything that is left to chance is drawn from `rng`: when a notification arrives, how often and with which others;
    when the follow-ups run; what happens between the moment an answer is true and the moment it is applied; how far
    `as_of` lies before that moment; and which processes die before their commit.
    """

    def __init__(self, mirror: Mirror, workspace_id: str, history: Sequence[Move], rng: random.Random) -> None:
        self.mirror = mirror
        self.workspace_id = workspace_id
        self.space = histories.start_workspace()
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
            self.space.now += 3000
            if not self._refetch():
                break

    def _perform_event(self) -> None:
        if self._moves:
            histories.perform(self.space, self._moves.pop(), in_full=True)

    def _collect_notifications(self) -> None:
        self._outbox += [notification.to(self.workspace_id) for notification in self.space.sent[self._taken :]]
        self._taken = len(self.space.sent)

    def _deliver_batch(self) -> None:
        """Deliver some of what is under way, and some of what arrived before."""
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
            raise TransientError("Another workspace's.", 1.0)
        self.fetches += 1
        self.space.now += self.rng.choice((0, 5, 300))
        answer = fetch_result_of(self.space.get_by_id(object_type, object_id), self._as_of())
        # The answer is under way: what happens and arrives now overtakes it.
        if self.rng.random() < 0.3:
            self._perform_event()
        if self.rng.random() < 0.3:
            self._deliver_batch()
        if self.rng.random() < 0.1 and self._workers < WORKERS:
            self._refetch()
        return answer

    def _as_of(self) -> int:
        """Return a moment that is no later than the answer: of whole seconds at times, and less the request's time."""
        now = self.space.now // 1000 * 1000 if self.rng.random() < 0.5 else self.space.now
        return now - self.rng.choice((0, 0, 120, 900, 1700))


def fetch_result_of(true: GetResult, as_of_ms: int) -> FetchResult:
    """Put what is true into the words of a fetch."""
    if true.object is not None:
        return FoundObject(true.object, as_of_ms, true.archived)
    return MissingObject(as_of_ms) if true.into is None else MergedContact(true.into, as_of_ms)
