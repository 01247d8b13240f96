"""Law (b): if nothing is lost, then once the follow-ups have run, the tables equal the workspace."""

from itertools import count

from hypothesis import Phase, given, settings
from sqlalchemy import Engine

from tests.laws.columns import wrong_columns
from tests.laws.histories import Move, dice, histories, seeds
from tests.laws.mirrors import MemoryMirror, visiting
from tests.laws.oracle import differences
from tests.laws.play import Play

settings.load_profile("laws")
_numbers = count()


@given(histories, seeds)
@settings(max_examples=1500)
def test_the_rule_ends_with_the_truth(history: list[Move], seed: int) -> None:
    """Whatever came in between, follow-ups end, and then everything is as in the workspace."""
    mirror = MemoryMirror()
    play = Play(mirror, "w", history, dice(seed))
    play.run()
    assert list(differences(mirror.picture(), play.space)) == []


@given(histories, seeds)
@settings(max_examples=200, phases=(Phase.explicit, Phase.generate))
def check_the_tables(engine: Engine, history: list[Move], seed: int) -> None:
    name = f"b{next(_numbers)}"
    with visiting(engine, name) as mirror:
        play = Play(mirror, name, history, dice(seed))
        play.run()
        picture = mirror.picture()
        assert list(differences(picture, play.space)) == []
        assert list(wrong_columns(picture, play.space)) == []


def test_the_tables_end_with_the_truth(engine: Engine) -> None:
    """The same as above, in the tables of both databases, by the task's own function, column by column."""
    check_the_tables(engine)
