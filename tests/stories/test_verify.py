"""The tables are compared with Intercom: what is lost is found and named, and what only moves is no difference."""

from collections.abc import Iterator

import pytest

from tests.stories.scene import Scene, scene_at


@pytest.fixture
def scene(redis_url: str, database_url: str) -> Iterator[Scene]:
    """A filled mirror on either database."""
    with scene_at(redis_url, database_url) as made:
        yield made


def test_a_filled_mirror_is_equal(scene: Scene) -> None:
    """And sync_status says so."""
    outcome = scene.verify()
    assert outcome.as_dict()["differences"] == []
    assert (outcome.result, outcome.exit_code, outcome.reasons) == ("equal", 0, [])
    assert outcome.compared["contact"] == 8
    assert outcome.compared["data_attribute"] > 0
    assert scene.one_mark("contact") == "equal"
