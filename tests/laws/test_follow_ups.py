"""Law (b): if nothing is lost, then once the follow-ups have run, the tables equal the workspace."""

from hypothesis import given, settings
from sqlalchemy import Engine

from tests.laws.columns import wrong_columns
from tests.laws.feed import misreadings
from tests.laws.histories import LAWS, WITHOUT_SHRINKING, Move, dice, histories, seeds
from tests.laws.mirrors import MemoryMirror, visiting
from tests.laws.oracle import differences
from tests.laws.play import Play

# PostgreSQL takes three times as long for a case.
CASES = {"sqlite": 600, "postgresql": 250}


@given(histories, seeds)
@settings(LAWS, max_examples=1500)
def test_the_rule_ends_with_the_truth(history: list[Move], seed: int) -> None:
    """Whatever came in between, follow-ups end, and then everything is as in the workspace."""
    mirror = MemoryMirror()
    play = Play(mirror, "w", history, dice(seed))
    play.run()
    assert list(differences(mirror.picture(), play.space)) == []


def test_the_tables_end_with_the_truth(engine: Engine) -> None:
    """The same in tables, by the task's own function, column by column."""
    cases: list[str] = []

    @given(histories, seeds)
    @settings(WITHOUT_SHRINKING, max_examples=CASES[engine.name])
    def check(history: list[Move], seed: int) -> None:
        cases.append(f"b{len(cases)}")
        with visiting(engine, cases[-1]) as mirror:
            play = Play(mirror, cases[-1], history, dice(f"{engine.name} {seed}"))
            play.run()
            picture = mirror.picture()
            assert list(differences(picture, play.space)) == []
            assert list(wrong_columns(picture, play.space)) == []
            assert list(misreadings(mirror, picture)) == []

    check()
    assert len(cases) >= CASES[engine.name]
