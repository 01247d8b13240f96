"""Dirty objects are fetched, once, until they are clean."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from intercom_api.errors import TransientError
from tests.stories.drain_harness import DrainHarness, contact, notification, open_harness, refuse_name
from workers.facts.from_fetch import FetchResult, FoundObject, MergedContact, MissingObject
from workers.refetch import dirty_objects
from workers.refetch.dirty_objects import FIRST_PAUSE_SECONDS, refetch_dirty

NOW = datetime(2026, 3, 1, tzinfo=UTC)
# Milliseconds, later than every notification here.
FETCHED_AT = 1_700_001_000_000


class Intercom:
    """Returns one result for every fetch, and records the fetches."""

    def __init__(self, result: FetchResult | Exception) -> None:
        self.result = result
        self.fetched: list[tuple[str, str, str]] = []

    def __call__(self, workspace_id: str, object_type: str, object_id: str) -> FetchResult:
        self.fetched.append((workspace_id, object_type, object_id))
        if isinstance(self.result, Exception):
            raise self.result
        return self.result


@pytest.fixture
def harness(redis_url: str, database_url: str) -> Iterator[DrainHarness]:
    """A harness on either database, with one contact from a notification in Intercom's old form."""
    with open_harness(redis_url, database_url) as made:
        made.append(notification("visitor.signed_up", {"type": "user", "id": "v1", "email": "old@example.test"}))
        made.drain()
        yield made


def _found(as_of_ms: int = FETCHED_AT) -> FoundObject:
    # It changed a moment before, like a contact that has just signed up.
    return FoundObject(contact("v1", at=1_700_000_800, name="Vera"), as_of_ms)


def test_a_contact_in_the_old_form_is_fetched_and_not_stored(harness: DrainHarness) -> None:
    """Only its id is used."""
    assert harness.one("SELECT COUNT(*) FROM contacts") == 0
    intercom = Intercom(_found())
    assert refetch_dirty(harness.engine, intercom, NOW) == 1
    assert harness.one("SELECT name FROM contacts") == "Vera"
    assert harness.one("SELECT _source FROM contacts") == "refetch"
    assert len(intercom.fetched) == 1


def test_an_object_that_is_dirty_several_times_is_fetched_once(harness: DrainHarness) -> None:
    """A fetch clears everything that made the object dirty before it began."""
    for number in range(2, 6):
        harness.append(notification("visitor.signed_up", {"id": "v1"}, number=number))
    harness.drain()
    intercom = Intercom(_found())
    refetch_dirty(harness.engine, intercom, NOW)
    assert refetch_dirty(harness.engine, intercom, NOW) == 0
    assert len(intercom.fetched) == 1


def test_an_object_that_becomes_dirty_during_its_fetch_stays_dirty(harness: DrainHarness) -> None:
    """The fetch clears only the value of the counter that it started from."""

    def fetch(*_: str) -> FetchResult:
        harness.append(notification("visitor.signed_up", {"id": "v1"}, number=2))
        harness.drain()
        return _found()

    refetch_dirty(harness.engine, fetch, NOW)
    assert harness.one("SELECT COUNT(*) FROM object_states WHERE dirty > clean") == 1


def test_a_deleted_contact_is_deleted(harness: DrainHarness) -> None:
    """After a 404 it has no row, and is clean."""
    refetch_dirty(harness.engine, Intercom(MissingObject(FETCHED_AT)), NOW)
    assert harness.one("SELECT COUNT(*) FROM contacts") == 0
    assert refetch_dirty(harness.engine, Intercom(MissingObject(FETCHED_AT)), NOW) == 0


def test_a_contact_that_was_merged_is_redirected(harness: DrainHarness) -> None:
    """After a 410 the surviving contact is stored."""
    refetch_dirty(harness.engine, Intercom(MergedContact("v9", FETCHED_AT)), NOW)
    assert harness.rows("SELECT from_id, into_id FROM contact_redirects") == [{"from_id": "v1", "into_id": "v9"}]


def test_a_failed_fetch_is_repeated_after_growing_pauses(harness: DrainHarness) -> None:
    """Each failure doubles the pause, so that an outage does not cause a burst of calls."""
    unavailable = Intercom(TransientError("no response", 1))
    now, pause = NOW, FIRST_PAUSE_SECONDS
    for _ in range(4):
        assert refetch_dirty(harness.engine, unavailable, now) == 1
        assert refetch_dirty(harness.engine, unavailable, now + timedelta(seconds=pause - 1)) == 0
        now += timedelta(seconds=pause)
        pause *= 2
    assert refetch_dirty(harness.engine, Intercom(_found()), now) == 1
    assert harness.rows("SELECT refetch_attempts, refetch_after FROM object_states WHERE object_type = 'contact'") == [
        {"refetch_attempts": 0, "refetch_after": None}
    ]


def test_a_fetch_from_a_lagging_replica_is_repeated(harness: DrainHarness) -> None:
    """A result older than a notification neither overwrites it nor makes the object clean."""
    harness.append(notification("contact.user.updated", contact("v1", at=1_700_000_900, name="New"), number=2))
    harness.drain()
    refetch_dirty(harness.engine, Intercom(_found()), NOW)
    assert harness.one("SELECT name FROM contacts") == "New"
    assert harness.one("SELECT COUNT(*) FROM object_states WHERE dirty > clean") == 1


def test_an_unreadable_result_does_not_stop_the_round(harness: DrainHarness) -> None:
    """The object is fetched again later, and the others are applied."""
    harness.append(notification("visitor.signed_up", {"id": "v2"}, number=2))
    harness.drain()

    def fetch(_workspace: str, _type: str, object_id: str) -> FetchResult:
        return FoundObject({"name": "no id"}, FETCHED_AT) if object_id == "v2" else _found()

    refetch_dirty(harness.engine, fetch, NOW)
    assert harness.one("SELECT name FROM contacts") == "Vera"


def test_a_result_that_the_database_rejects_does_not_stop_the_round(harness: DrainHarness) -> None:
    """The object waits for its next attempt, and the others are applied."""
    harness.append(notification("visitor.signed_up", {"id": "v2"}, number=2))
    harness.drain()
    refuse_name(harness, "poison")

    def fetch(_workspace: str, _type: str, object_id: str) -> FetchResult:
        return FoundObject(
            contact(object_id, at=1_700_000_500, name="poison" if object_id == "v2" else "Vera"), FETCHED_AT
        )

    assert refetch_dirty(harness.engine, fetch, NOW) == 2
    assert harness.one("SELECT name FROM contacts") == "Vera"
    assert harness.one("SELECT refetch_attempts FROM object_states WHERE object_id = 'v2'") == 1


def test_slow_results_are_applied_before_the_task_reaches_its_limit(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After FETCH_SECONDS no further fetch begins; the remaining objects stay dirty."""
    harness.append(notification("visitor.signed_up", {"id": "v2"}, number=2))
    harness.drain()
    monkeypatch.setattr(dirty_objects, "FETCH_SECONDS", 0.0)
    assert refetch_dirty(harness.engine, Intercom(_found()), NOW) == 1
    assert harness.one("SELECT COUNT(*) FROM object_states WHERE dirty > clean") == 1
