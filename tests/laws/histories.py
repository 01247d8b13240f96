"""Histories of a workspace, and ways in which what they tell may arrive."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.laws.events import EVENTS
from tests.laws.true_workspace import SentNotification, TrueWorkspace
from tests.laws.wire import Style

# Milliseconds between two deeds: several within one second, and even within one millisecond.
STEPS = (0, 1, 200, 400, 999, 1000, 3000)
STYLES = (
    Style(),
    Style(before=True),
    Style("seconds"),
    Style("zero"),
    Style(short=True),
    Style("seconds", before=True),
    Style(lag=900),
    Style("seconds", lag=400),
)


class Move(NamedTuple):
    """One deed (a place in DEEDS), the two numbers it gets, the time before it, and how it is told."""

    event: int
    a: int
    b: int
    step: int
    style: int


moves = st.builds(
    Move,
    event=st.integers(0, len(EVENTS) - 1),
    a=st.integers(0, 3),
    b=st.integers(0, 3),
    step=st.integers(0, len(STEPS) - 1),
    style=st.integers(0, len(STYLES) - 1),
)

# Repeatable: the same cases on every machine and every day, so that red means a change of the code. Deadlines would
# measure the machine.
LAWS = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True
)

# In a database, shrinking a failing case takes minutes; the same mistake shrinks in seconds in memory.
WITHOUT_SHRINKING = settings(LAWS, phases=(Phase.explicit, Phase.generate))

# Shorter ones miss interplays of three deeds, longer ones find nothing that those do not, only later.
histories = st.lists(moves, min_size=1, max_size=9)
seeds = st.integers(0, 2**32 - 1)


def perform(space: TrueWorkspace, move: Move, *, in_full: bool = False) -> None:
    """Let a move happen; told `in_full`, no key is left out."""
    space.now += STEPS[move.step]
    space.style = replace(STYLES[move.style], short=False) if in_full else STYLES[move.style]
    EVENTS[move.event](space, move.a, move.b)


def seeded_random(seed: int | str) -> random.Random:
    """Return chance that can be repeated."""
    return random.Random(seed)  # noqa: S311 -- it guards nothing


def start_workspace() -> TrueWorkspace:
    """Return a workspace in which two contacts and a company were made, and told of."""
    space = TrueWorkspace()
    for event, role in ((0, 0), (0, 1), (13, 1)):
        EVENTS[event](space, 0, role)
        space.now += 700
    return space


def workspace_after(history: Sequence[Move]) -> TrueWorkspace:
    """Return a workspace after a history."""
    space = start_workspace()
    for move in history:
        perform(space, move)
    return space


def delivered_part(sent: Sequence[SentNotification], rng: random.Random) -> list[SentNotification]:
    """Return those that arrive, in the order of the events; often all."""
    share = rng.choice((1.0, 0.9, 0.6))
    return [notification for notification in sent if rng.random() < share]


def batches(bodies: Sequence[bytes], rng: random.Random) -> Iterator[list[bytes]]:
    """Deliver all of them: in any order, some more than once, in batches of any size."""
    queue = [body for body in bodies for _ in range(rng.choice((1, 1, 1, 2)))]
    rng.shuffle(queue)
    while queue:
        size = rng.choice((1, 3, 8, 20))
        yield queue[:size]
        del queue[:size]
