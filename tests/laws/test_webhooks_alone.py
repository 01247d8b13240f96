"""
Law (a), for any history, any part of what it tells, in any order, any number of times and in any batches.

From webhooks alone, the tables are a function of the set of notifications delivered, and every object that may differ
from Intercom is marked dirty.
"""

import random
from collections.abc import Sequence

from hypothesis import given, settings
from sqlalchemy import Engine

from tests.laws.feed import misreadings
from tests.laws.histories import LAWS, WITHOUT_SHRINKING, Move, batches, dice, histories, lived, seeds, some
from tests.laws.mirrors import MemoryMirror, Mirror, visiting
from tests.laws.oracle import Belief, complaints, true_rows
from tests.laws.truth import Telling

# PostgreSQL takes three times as long for a case.
CASES = {"sqlite": 1500, "postgresql": 600}

# Keys that one style of telling leaves out, and one that changes without being told.
UNTOLD = {"user_count", "referrer", "last_seen_at"}


def receive(mirror: Mirror, told: Sequence[Telling], workspace_id: str, rng: random.Random) -> None:
    for batch in batches([telling.to(workspace_id) for telling in told], rng):
        mirror.deliver(batch)


@given(histories)
@settings(LAWS, max_examples=300)
def test_the_yardstick_itself_believes_the_truth_when_told_everything(history: list[Move]) -> None:
    """Somebody who hears everything in order knows the workspace, but for what must be doubted."""
    space = lived(history)
    belief = Belief(fact for telling in space.told for fact in telling.facts)
    truth = true_rows(space)
    for key in belief.known():
        if key in belief.gone:
            assert key not in truth
        elif not belief.must_doubt(key):
            held = belief.contents[key]
            assert {name: value for name, value in truth[key].items() if name in held and name not in UNTOLD} == {
                name: value for name, value in held.items() if name not in UNTOLD
            }


@given(histories, seeds)
@settings(LAWS, max_examples=2000)
def test_the_rule_makes_the_same_of_the_same_set_and_doubts_what_may_differ(history: list[Move], seed: int) -> None:
    """Two deliveries of one set, in other orders and batches, end alike; whatever is not in doubt is true."""
    rng = dice(seed)
    told = some(lived(history).told, rng)
    one, other = MemoryMirror(), MemoryMirror()
    for mirror in (one, other):
        receive(mirror, told, "w", rng)
    assert one.picture().tables() == other.picture().tables()
    belief = Belief(fact for telling in told for fact in telling.facts)
    for mirror in (one, other):
        assert list(complaints(mirror.picture(), belief)) == []


def test_the_tables_are_the_same_for_the_same_set_and_doubt_what_may_differ(engine: Engine) -> None:
    """The same in tables: however a set is delivered, they hold what the rule alone makes of another delivery of it."""
    cases: list[str] = []

    @given(histories, seeds)
    @settings(WITHOUT_SHRINKING, max_examples=CASES[engine.name])
    def check(history: list[Move], seed: int) -> None:
        rng = dice(f"{engine.name} {seed}")
        told = some(lived(history).told, rng)
        belief = Belief(fact for telling in told for fact in telling.facts)
        cases.append(f"a{len(cases)}")
        alone = MemoryMirror(cases[-1])
        receive(alone, told, cases[-1], rng)
        with visiting(engine, cases[-1]) as mirror:
            receive(mirror, told, cases[-1], rng)
            picture = mirror.picture()
            assert picture.tables() == alone.picture().tables()
            assert list(complaints(picture, belief)) == []
            assert list(misreadings(mirror, picture)) == []

    check()
    assert len(cases) >= CASES[engine.name]
