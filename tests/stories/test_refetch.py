"""What is in doubt is asked for again, once, until it is clear."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from intercom_api.errors import TransientError
from tests.stories.drain_harness import DrainHarness, contact, notification, open_harness, refuse_name
from workers.facts.from_fetch import FetchResult, FoundObject, MergedContact, MissingObject
from workers.refetch import dirty_objects
from workers.refetch.dirty_objects import FIRST_PAUSE_SECONDS, refetch_dirty

NOW = datetime(2026, 3, 1, tzinfo=UTC)
# Later than anything that the notifications here tell of, in milliseconds.
ASKED_AT = 1_700_001_000_000


class Intercom:
    """Answers as it is told, and remembers what it was asked."""

    def __init__(self, answer: FetchResult | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, str]] = []

    def __call__(self, workspace_id: str, object_type: str, object_id: str) -> FetchResult:
        self.asked.append((workspace_id, object_type, object_id))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


@pytest.fixture
def harness(redis_url: str, database_url: str) -> Iterator[DrainHarness]:
    """A desk on either database, with one contact that Intercom told of in a form of its old days."""
    with open_harness(redis_url, database_url) as made:
        made.append(notification("visitor.signed_up", {"type": "user", "id": "v1", "email": "old@example.test"}))
        made.drain()
        yield made


def _found(as_of_ms: int = ASKED_AT) -> FoundObject:
    # It changed a moment before, as somebody did who just signed up.
    return FoundObject(contact("v1", at=1_700_000_800, name="Vera"), as_of_ms)


def test_an_old_style_user_is_fetched_and_not_upserted(harness: DrainHarness) -> None:
    """Only its id is believed."""
    assert harness.one("SELECT COUNT(*) FROM contacts") == 0
    intercom = Intercom(_found())
    assert refetch_dirty(harness.engine, intercom, NOW) == 1
    assert harness.one("SELECT name FROM contacts") == "Vera"
    assert harness.one("SELECT _source FROM contacts") == "refetch"
    assert len(intercom.asked) == 1


def test_many_doubts_are_one_question(harness: DrainHarness) -> None:
    """Dirty is a counter; one answer clears all doubts that came before the question."""
    for number in range(2, 6):
        harness.append(notification("visitor.signed_up", {"id": "v1"}, number=number))
    harness.drain()
    intercom = Intercom(_found())
    refetch_dirty(harness.engine, intercom, NOW)
    assert refetch_dirty(harness.engine, intercom, NOW) == 0
    assert len(intercom.asked) == 1


def test_a_doubt_that_comes_during_the_question_stays(harness: DrainHarness) -> None:
    """The answer clears only what it started from."""

    def fetch(*_: str) -> FetchResult:
        harness.append(notification("visitor.signed_up", {"id": "v1"}, number=2))
        harness.drain()
        return _found()

    refetch_dirty(harness.engine, fetch, NOW)
    assert harness.one("SELECT COUNT(*) FROM object_states WHERE dirty > clean") == 1


def test_a_contact_that_is_gone_is_gone(harness: DrainHarness) -> None:
    """404: nothing to show, nothing to ask again."""
    refetch_dirty(harness.engine, Intercom(MissingObject(ASKED_AT)), NOW)
    assert harness.one("SELECT COUNT(*) FROM contacts") == 0
    assert refetch_dirty(harness.engine, Intercom(MissingObject(ASKED_AT)), NOW) == 0


def test_a_contact_that_was_merged_is_redirected(harness: DrainHarness) -> None:
    """410: the way to the surviving contact is known."""
    refetch_dirty(harness.engine, Intercom(MergedContact("v9", ASKED_AT)), NOW)
    assert harness.rows("SELECT from_id, into_id FROM contact_redirects") == [{"from_id": "v1", "into_id": "v9"}]


def test_no_answer_is_asked_for_later_and_later(harness: DrainHarness) -> None:
    """Each failure doubles the pause, so that an absence is not a storm of questions."""
    silent = Intercom(TransientError("no answer", 1))
    now, pause = NOW, FIRST_PAUSE_SECONDS
    for _ in range(4):
        assert refetch_dirty(harness.engine, silent, now) == 1
        assert refetch_dirty(harness.engine, silent, now + timedelta(seconds=pause - 1)) == 0
        now += timedelta(seconds=pause)
        pause *= 2
    assert refetch_dirty(harness.engine, Intercom(_found()), now) == 1
    assert harness.rows("SELECT refetch_attempts, refetch_after FROM object_states WHERE object_type = 'contact'") == [
        {"refetch_attempts": 0, "refetch_after": None}
    ]


def test_an_answer_from_a_copy_that_lags_is_asked_for_again(harness: DrainHarness) -> None:
    """An answer older than what a notification told neither overwrites nor clears."""
    harness.append(notification("contact.user.updated", contact("v1", at=1_700_000_900, name="New"), number=2))
    harness.drain()
    refetch_dirty(harness.engine, Intercom(_found()), NOW)
    assert harness.one("SELECT name FROM contacts") == "New"
    assert harness.one("SELECT COUNT(*) FROM object_states WHERE dirty > clean") == 1


def test_an_answer_that_cannot_be_read_does_not_stop_the_round(harness: DrainHarness) -> None:
    """It is left for later, and its neighbours are applied."""
    harness.append(notification("visitor.signed_up", {"id": "v2"}, number=2))
    harness.drain()

    def fetch(_workspace: str, _type: str, object_id: str) -> FetchResult:
        return FoundObject({"name": "no id"}, ASKED_AT) if object_id == "v2" else _found()

    refetch_dirty(harness.engine, fetch, NOW)
    assert harness.one("SELECT name FROM contacts") == "Vera"


def test_an_answer_that_the_database_refuses_does_not_stop_the_round(harness: DrainHarness) -> None:
    """It waits for its next try, and its neighbours are applied."""
    harness.append(notification("visitor.signed_up", {"id": "v2"}, number=2))
    harness.drain()
    refuse_name(harness, "poison")

    def fetch(_workspace: str, _type: str, object_id: str) -> FetchResult:
        return FoundObject(
            contact(object_id, at=1_700_000_500, name="poison" if object_id == "v2" else "Vera"), ASKED_AT
        )

    assert refetch_dirty(harness.engine, fetch, NOW) == 2
    assert harness.one("SELECT name FROM contacts") == "Vera"
    assert harness.one("SELECT refetch_attempts FROM object_states WHERE object_id = 'v2'") == 1


def test_slow_answers_are_applied_before_the_task_is_stopped(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A round asks for no longer than it may; the others are still due."""
    harness.append(notification("visitor.signed_up", {"id": "v2"}, number=2))
    harness.drain()
    monkeypatch.setattr(dirty_objects, "FETCH_SECONDS", 0.0)
    assert refetch_dirty(harness.engine, Intercom(_found()), NOW) == 1
    assert harness.one("SELECT COUNT(*) FROM object_states WHERE dirty > clean") == 1
