"""Ids in eight bytes each."""

from hypothesis import given
from hypothesis import strategies as st

from workers.verify import id_set as module
from workers.verify.id_set import Seen


@given(st.lists(st.text(max_size=3)), st.lists(st.text(max_size=3)))
def test_it_is_a_set(added: list[str], asked: list[str]) -> None:
    """Nothing is forgotten, and nothing is made up."""
    seen = Seen()
    news = [seen.add(each) for each in added]
    assert len(seen) == len(set(added)) == sum(news)
    assert [each in seen for each in asked] == [each in set(added) for each in asked]


def test_many_ids_take_little_memory() -> None:
    """They are sorted into one array from time to time."""
    seen = Seen()
    for number in range(3 * module._LOOSE):
        assert seen.add(f"{number}")
    assert all(f"{number}" in seen for number in range(3 * module._LOOSE))
    assert "nobody" not in seen
    assert len(seen._sorted) >= 2 * module._LOOSE
