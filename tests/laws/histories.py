"""Histories of a workspace, and the ways in which their notifications may arrive."""

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st

from tests.laws.events import EVENTS
from tests.laws.true_workspace import SentNotification, TrueWorkspace
from tests.laws.wire import Style

# Milliseconds between two events: several within one second, and even within one millisecond.
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
    """One event (an index in EVENTS) with its two numbers, the index of the time before it, and that of its style."""

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

# Repeatable: the same cases on every machine and every day, so that a failure means a change of the code. Deadlines
# would measure the machine.
LAWS = settings(
    derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck), print_blob=True
)

# In a database, shrinking a failing case takes minutes; in memory the same failure shrinks in seconds.
WITHOUT_SHRINKING = settings(LAWS, phases=(Phase.explicit, Phase.generate))

# Shorter histories miss interactions of three events; longer ones find the same failures, only later.
histories = st.lists(moves, min_size=1, max_size=9)
seeds = st.integers(0, 2**32 - 1)


def perform(workspace: TrueWorkspace, move: Move, *, in_full: bool = False) -> None:
    """Perform a move; with `in_full`, its notification leaves out no key."""
    workspace.now += STEPS[move.step]
    workspace.style = replace(STYLES[move.style], short=False) if in_full else STYLES[move.style]
    EVENTS[move.event](workspace, move.a, move.b)


def seeded_random(seed: int | str) -> random.Random:
    """Return a repeatable source of random numbers."""
    return random.Random(seed)  # noqa: S311 -- not for security


def start_workspace() -> TrueWorkspace:
    """Return a workspace in which two contacts and a company were created and reported."""
    workspace = TrueWorkspace()
    for event, role in ((0, 0), (0, 1), (13, 1)):
        EVENTS[event](workspace, 0, role)
        workspace.now += 700
    return workspace


def workspace_after(history: Sequence[Move]) -> TrueWorkspace:
    """Return a workspace after a history."""
    workspace = start_workspace()
    for move in history:
        perform(workspace, move)
    return workspace


def delivered_part(sent: Sequence[SentNotification], rng: random.Random) -> list[SentNotification]:
    """Return the notifications that arrive, in the order of the events; often all."""
    share = rng.choice((1.0, 0.9, 0.6))
    return [notification for notification in sent if rng.random() < share]


def batches(bodies: Sequence[bytes], rng: random.Random) -> Iterator[list[bytes]]:
    """Yield all bodies: in any order, some more than once, in batches of any size."""
    queue = [body for body in bodies for _ in range(rng.choice((1, 1, 1, 2)))]
    rng.shuffle(queue)
    while queue:
        size = rng.choice((1, 3, 8, 20))
        yield queue[:size]
        del queue[:size]
