"""Law (b): if no notification is lost, then after the refetches the tables equal the workspace."""

import pytest
from hypothesis import given, settings
from sqlalchemy import Engine

from tests.laws.columns import wrong_columns
from tests.laws.expected_state import differences
from tests.laws.feed_reader import feed_mismatches
from tests.laws.histories import LAWS, WITHOUT_SHRINKING, Move, histories, seeded_random, seeds
from tests.laws.mirrors import MemoryMirror, temporary_workspace
from tests.laws.simulation import Simulation
from workers.refetch import dirty_objects

# PostgreSQL takes three times as long for a case.
CASES = {"sqlite": 600, "postgresql": 250}


@given(histories, seeds)
@settings(LAWS, max_examples=1500)
def test_the_rule_ends_with_the_truth(history: list[Move], seed: int) -> None:
    """Whatever happens in between, refetches end, and then the mirror equals the workspace."""
    mirror = MemoryMirror()
    simulation = Simulation(mirror, "w", history, seeded_random(seed))
    simulation.run()
    assert list(differences(mirror.snapshot(), simulation.workspace)) == []


@pytest.fixture
def one_fetch_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """
    Fetch one object after the other.

    The simulation itself lets events and other refetches overtake a response. With threads they would also come between
    the result and its `as_of`, which would then be later than what it describes; and no run could be repeated.
    """
    monkeypatch.setattr(dirty_objects, "CONCURRENT_FETCHES", 1)


@pytest.mark.usefixtures("one_fetch_at_a_time")
def test_the_tables_end_with_the_truth(engine: Engine) -> None:
    """The same with tables and the product's own refetch, column by column."""
    cases: list[str] = []

    @given(histories, seeds)
    @settings(WITHOUT_SHRINKING, max_examples=CASES[engine.name])
    def check(history: list[Move], seed: int) -> None:
        cases.append(f"b{len(cases)}")
        with temporary_workspace(engine, cases[-1]) as mirror:
            simulation = Simulation(mirror, cases[-1], history, seeded_random(f"{engine.name} {seed}"))
            simulation.run()
            snapshot = mirror.snapshot()
            assert list(differences(snapshot, simulation.workspace)) == []
            assert list(wrong_columns(snapshot, simulation.workspace)) == []
            assert list(feed_mismatches(mirror, snapshot)) == []

    check()
    assert len(cases) >= CASES[engine.name]
