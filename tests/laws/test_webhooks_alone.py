"""
Law (a), for any history, any part of its notifications, in any order, any number of times and in any batches.

From webhooks alone, the tables are a function of the set of notifications delivered, and every object that may differ
from Intercom is marked dirty.
"""

import random
from collections.abc import Sequence

from hypothesis import given, settings
from sqlalchemy import Engine

from tests.laws.expected_state import ExpectedState, true_rows, violations
from tests.laws.feed_reader import feed_mismatches
from tests.laws.histories import (
    LAWS,
    WITHOUT_SHRINKING,
    Move,
    batches,
    delivered_part,
    histories,
    seeded_random,
    seeds,
    workspace_after,
)
from tests.laws.mirrors import MemoryMirror, Mirror, temporary_workspace
from tests.laws.true_workspace import SentNotification

# PostgreSQL takes three times as long for a case.
CASES = {"sqlite": 1500, "postgresql": 600}

# Keys that one style of notification leaves out, and one that changes without a notification.
UNREPORTED = {"user_count", "referrer", "last_seen_at"}


def receive(mirror: Mirror, sent: Sequence[SentNotification], workspace_id: str, rng: random.Random) -> None:
    for batch in batches([notification.to(workspace_id) for notification in sent], rng):
        mirror.deliver(batch)


@given(histories)
@settings(LAWS, max_examples=300)
def test_the_expected_state_of_all_facts_is_the_true_workspace(history: list[Move]) -> None:
    """A reader that receives everything in order knows the workspace, except for what must be dirty."""
    workspace = workspace_after(history)
    expected = ExpectedState(fact for notification in workspace.sent for fact in notification.facts)
    truth = true_rows(workspace)
    for key in expected.known():
        if key in expected.gone:
            assert key not in truth
        elif not expected.must_be_dirty(key):
            actual = expected.contents[key]
            assert {name: value for name, value in truth[key].items() if name in actual and name not in UNREPORTED} == {
                name: value for name, value in actual.items() if name not in UNREPORTED
            }


@given(histories, seeds)
@settings(LAWS, max_examples=2000)
def test_the_rule_is_a_function_of_the_set_and_marks_what_may_differ(history: list[Move], seed: int) -> None:
    """Two deliveries of one set, in different orders and batches, end the same; what is not dirty is correct."""
    rng = seeded_random(seed)
    sent = delivered_part(workspace_after(history).sent, rng)
    one, other = MemoryMirror(), MemoryMirror()
    for mirror in (one, other):
        receive(mirror, sent, "w", rng)
    assert one.snapshot().tables() == other.snapshot().tables()
    expected = ExpectedState(fact for notification in sent for fact in notification.facts)
    for mirror in (one, other):
        assert list(violations(mirror.snapshot(), expected)) == []


def test_the_tables_are_a_function_of_the_set_and_mark_what_may_differ(engine: Engine) -> None:
    """The same with tables: however a set is delivered, they equal the rule in memory after another delivery of it."""
    cases: list[str] = []

    @given(histories, seeds)
    @settings(WITHOUT_SHRINKING, max_examples=CASES[engine.name])
    def check(history: list[Move], seed: int) -> None:
        rng = seeded_random(f"{engine.name} {seed}")
        sent = delivered_part(workspace_after(history).sent, rng)
        expected = ExpectedState(fact for notification in sent for fact in notification.facts)
        cases.append(f"a{len(cases)}")
        in_memory = MemoryMirror(cases[-1])
        receive(in_memory, sent, cases[-1], rng)
        with temporary_workspace(engine, cases[-1]) as mirror:
            receive(mirror, sent, cases[-1], rng)
            snapshot = mirror.snapshot()
            assert snapshot.tables() == in_memory.snapshot().tables()
            assert list(violations(snapshot, expected)) == []
            assert list(feed_mismatches(mirror, snapshot)) == []

    check()
    assert len(cases) >= CASES[engine.name]
