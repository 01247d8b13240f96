"""A connected workspace fills its mirror, whatever happens meanwhile."""

from collections.abc import Iterator

import pytest

from emulator.life import populate
from tests.stories.filling import Filling, count, filling_at


@pytest.fixture
def filling(redis_url: str, database_url: str) -> Iterator[Filling]:
    """A workspace of some hundred objects and an empty mirror, on either database."""
    with filling_at(redis_url, database_url) as made:
        populate(made.workspace, 200, 40, seed=3, links=4)
        yield made


def test_everything_that_a_workspace_holds_is_in_the_tables(filling: Filling) -> None:
    """Contacts, companies, tags, segments, attributes and all their links, the long ones too."""
    row = filling.run("backfill")
    assert row["state"] == "done", row
    assert filling.differences() == []
    assert count(filling.desk, "tags") == len(filling.workspace.tags)
    assert count(filling.desk, "data_attributes") > 0
    assert row["seen"] == row["expected"]
