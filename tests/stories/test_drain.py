"""From the inbox to the tables: batches, poison, death, and databases that go away."""

import time
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

import pytest
from celery.exceptions import SoftTimeLimitExceeded
from redis.exceptions import ConnectionError as RedisConnectionError
from sqlalchemy import Connection, Engine, text

from intercom_api.wire.envelope import Notification, parse
from models.apply import apply
from models.db.engine import transaction
from models.rule.observations import Report
from tests.stories.drain_harness import DrainHarness, contact, notification, open_harness, refuse_name
from workers.inbox import batch as batch_module
from workers.inbox import drain as drain_module
from workers.inbox import reader as reader_module
from workers.inbox.batch import BatchResult, DatabaseUnavailableError, DrainContext, ReadEntry, process_batch
from workers.inbox.drain import recover
from workers.inbox.reader import CLAIM_IDLE_MS, InboxEntry, InboxReader
from workers.runtime.redis_keys import DOORBELL, GROUP, INBOX


def _created(number: int, **fields: object) -> dict[str, object]:
    return notification("contact.user.created", contact(f"c{number:04d}", **fields), number=number)  # type: ignore[arg-type]


@pytest.fixture
def harness(redis_url: str, database_url: str) -> Iterator[DrainHarness]:
    """A desk on either database."""
    with open_harness(redis_url, database_url) as made:
        yield made


def test_what_was_appended_is_a_row_and_leaves_the_inbox(harness: DrainHarness) -> None:
    """A notification becomes a row, and only then goes."""
    harness.append(_created(1), _created(2))
    assert harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 2
    assert harness.depth() == 0
    assert harness.pending() == 0


def test_a_drain_leaves_no_doorbell_behind(harness: DrainHarness) -> None:
    """After an empty look the doorbell is off, so that the next append rings."""
    harness.redis.set(DOORBELL, "1")
    harness.append(_created(1))
    harness.drain()
    assert harness.redis.get(DOORBELL) is None


def test_a_full_batch_asks_for_help(harness: DrainHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A backlog is shared with a second drain."""
    monkeypatch.setattr(drain_module, "BATCH_SIZE", 10)
    harness.append(*(_created(number) for number in range(25)))
    harness.drain()
    assert harness.second_drain_requests == 2
    assert harness.one("SELECT COUNT(*) FROM contacts") == 25


def test_one_poison_entry_is_parked_and_its_neighbours_are_applied(harness: DrainHarness) -> None:
    """What the database refuses is kept with body and traceback."""
    refuse_name(harness, "poison")
    bodies = [_created(number) for number in range(50)]
    bodies[17] = _created(17, name="poison")
    entries = harness.append(*bodies)
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 49
    parked = harness.rows("SELECT * FROM parked")
    assert [row["entry"] for row in parked] == [entries[17]]
    assert b"poison" in bytes(parked[0]["body"])
    assert "Error" in parked[0]["reason"]
    assert "Traceback" in parked[0]["traceback"]
    assert harness.depth() == 0


def test_neighbours_of_a_refused_entry_wait_for_one_more_transaction(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database says which row it refuses, so nobody is tried again and again."""
    refuse_name(harness, "poison")
    sizes = []
    commit = batch_module._commit

    def note(engine: Engine, read: Sequence[ReadEntry]) -> BatchResult:
        sizes.append(len(read))
        return commit(engine, read)

    monkeypatch.setattr(batch_module, "_commit", note)
    harness.append(*(_created(number, name="poison" if number == 311 else "Vera") for number in range(500)))
    harness.drain()
    assert sizes == [500, 499, 1]
    assert harness.one("SELECT COUNT(*) FROM contacts") == 499


def test_an_entry_that_is_refused_for_an_unknown_reason_is_found_by_splitting(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistake of ours names no row."""

    def refuse(connection: Connection, reports: Sequence[Report], now: datetime) -> list[str]:
        if any(report.observations[0].id == "c0017" for report in reports):
            raise ValueError("no")
        return apply(connection, reports, now)

    monkeypatch.setattr(batch_module, "apply", refuse)
    entries = harness.append(*(_created(number) for number in range(50)))
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 49
    assert harness.one("SELECT entry FROM parked") == entries[17]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        (b"", "$"),
        (b"[]", "$"),
        (b"{", "$"),
        (b"\xff", "$"),
        (b'{"a":"\\ud800"}', "$"),
        (b'{"topic":"contact.deleted","app_id":"w"}', "data.item"),
        (b'{"topic":"contact.deleted","app_id":"w","data":{"item":{}}}', "data.item.id"),
        (b'{"topic":"contact.deleted","app_id":"w","data":{"item":{"id":[1]}}}', "data.item.id"),
        (b'{"topic":"contact.deleted","data":{"item":{"id":"1"}}}', "app_id"),
        (b'{"topic":"contact.user.tag.created","app_id":"w","data":{"item":{"id":"1"}}}', "data.item.tag"),
        (b'{"topic":"contact.deleted","app_id":"w","created_at":"soon","data":{"item":{"id":"1"}}}', "created_at"),
    ],
)
def test_a_signed_body_that_is_no_notification_is_parked(harness: DrainHarness, body: bytes, path: str) -> None:
    """The reason names the field; the neighbours do not notice."""
    harness.append(_created(1), body, _created(2))
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 2
    assert path in harness.one("SELECT reason FROM parked")
    assert harness.depth() == 0


def test_topics_that_are_not_mirrored_are_counted_and_forgotten(harness: DrainHarness) -> None:
    """A ping or a conversation leaves no trace in the tables."""
    harness.append(
        notification("ping", {"type": "ping"}), notification("conversation.user.created", {"id": "9"}, number=2)
    )
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM notifications") == 0
    assert harness.one("SELECT COUNT(*) FROM parked") == 0
    assert harness.depth() == 0


def test_a_database_that_goes_away_costs_no_attempt(harness: DrainHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is given back uncounted, again and again, and is applied once the database is back."""
    harness.append(_created(1))
    with transaction(harness.engine) as connection:
        connection.execute(text("ALTER TABLE notifications RENAME TO elsewhere"))
    for _ in range(10):
        with pytest.raises(DatabaseUnavailableError):
            harness.drain()
    with transaction(harness.engine) as connection:
        connection.execute(text("ALTER TABLE elsewhere RENAME TO notifications"))
    monkeypatch.setattr("workers.inbox.reader.OWN_IDLE_MS", 0)
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 1
    assert harness.one("SELECT COUNT(*) FROM parked") == 0


def test_a_redis_that_goes_away_costs_no_attempt(harness: DrainHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Committed but not acknowledged, again and again: nothing is parked, nothing is counted as a death."""
    harness.append(_created(1))
    for _ in range(10):
        with monkeypatch.context() as patch:
            _left_behind_now(patch)
            patch.setattr(InboxReader, "acknowledge", _connection_lost)
            with pytest.raises(RedisConnectionError):
                harness.drain()
    assert harness.context.reader.list_abandoned() == []
    _left_behind_now(monkeypatch)
    assert [item.crashes for item in harness.context.reader.list_abandoned()] == [0]
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM changes") == 1
    assert harness.one("SELECT COUNT(*) FROM parked") == 0


def test_what_could_not_be_given_back_is_given_back_later(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that lived through Redis's absence does not count its entries as deaths."""
    harness.append(_created(1))
    entry = harness.context.reader.read_new(10)[0]
    with monkeypatch.context() as patch:
        patch.setattr(harness.redis, "xclaim", _connection_lost)
        harness.context.reader.release([entry.id])
    _left_behind_now(monkeypatch)
    assert [item.crashes for item in harness.context.reader.list_abandoned()] == [0]


def test_a_time_limit_parks_nothing(harness: DrainHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is slow is not the entries' fault."""
    harness.append(_created(1), _created(2))
    with monkeypatch.context() as patch:
        patch.setattr(batch_module, "apply", _too_slow)
        with pytest.raises(SoftTimeLimitExceeded):
            harness.drain()
    _left_behind_now(monkeypatch)
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM parked") == 0
    assert harness.one("SELECT COUNT(*) FROM contacts") == 2


def test_a_crash_after_the_commit_repeats_nothing(harness: DrainHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Committed but not acknowledged: the next one finds a duplicate and writes no second line of the feed."""
    harness.append(_created(1))
    entries = harness.context.reader.read_new(10)
    monkeypatch.setattr(InboxReader, "acknowledge", _die)
    with pytest.raises(_DeathError):
        process_batch(harness.context, entries)
    monkeypatch.undo()
    _left_behind_now(monkeypatch)
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM changes") == 1
    assert harness.depth() == 0


def test_what_a_dead_process_held_is_taken_up_by_another(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries of a consumer that is no more come back to the tables."""
    harness.append(_created(1), _created(2))
    InboxReader(harness.redis, "the dead/3").read_new(10)
    _left_behind_now(monkeypatch)
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 2


def test_an_entry_that_kills_is_taken_alone_and_then_parked_unread(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Deaths count against the killer only: its neighbours are applied, it is parked after a few of them."""
    entries = harness.append(_created(1), _created(666), _created(3))
    _left_behind_now(monkeypatch)
    real = parse

    def deadly(body: bytes) -> Notification:
        if b"c0666" in body:
            raise _DeathError
        return real(body)

    monkeypatch.setattr(batch_module, "parse", deadly)
    # A process that is killed gives nothing back.
    monkeypatch.setattr(InboxReader, "release", lambda *_: None)
    for _ in range(8):
        with _expected_death():
            harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 2
    assert harness.one("SELECT entry FROM parked") == entries[1]
    assert harness.one("SELECT deaths FROM parked") == drain_module.MAX_CRASHES
    assert harness.depth() == 0


def test_entries_in_whose_company_two_processes_died_are_taken_in_groups(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one they would keep a drain busy for as long as it may live."""
    harness.append(*(_created(number) for number in range(60)))
    taken = [entry.id for entry in harness.context.reader.read_new(60)]
    ids: list[Any] = list(taken)
    harness.redis.xclaim(INBOX, GROUP, "the dead/3", 0, message_ids=ids, idle=CLAIM_IDLE_MS, retrycount=2, justid=True)
    sizes: list[int] = []

    def note(context: DrainContext, entries: Sequence[InboxEntry]) -> None:
        sizes.append(len(entries))
        process_batch(context, entries)

    monkeypatch.setattr(drain_module, "process_batch", note)
    harness.drain()
    assert sizes == [25, 25, 10]
    assert harness.depth() == 0


def test_what_is_left_behind_while_a_drain_runs_is_taken_up_by_it(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load the next drain may be seconds away."""
    harness.append(_created(1), _created(2))
    [left] = InboxReader(harness.redis, "the dead/3").read_new(1)
    monkeypatch.setattr(drain_module, "RECOVERY_SECONDS", 0.0)

    def die_meanwhile(context: DrainContext, entries: Sequence[InboxEntry]) -> None:
        process_batch(context, entries)
        harness.redis.xclaim(INBOX, GROUP, "the dead/3", 0, message_ids=[left.id], idle=CLAIM_IDLE_MS, justid=True)

    monkeypatch.setattr(drain_module, "process_batch", die_meanwhile)
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 2


def test_help_is_called_for_what_another_child_holds_for_long(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its successor may take it up at once; nobody else may for half a minute."""
    harness.append(_created(1), _created(2))
    InboxReader(harness.redis, "test/1").read_new(1)
    harness.drain()
    assert harness.second_drain_requests == 0
    monkeypatch.setattr(reader_module, "OWN_IDLE_MS", 0)
    harness.drain()
    assert (harness.second_drain_requests, harness.pending()) == (1, 1)


def test_a_group_that_was_destroyed_is_made_again_from_the_start(harness: DrainHarness) -> None:
    """Entries that were in hand when the group went are applied again, to no effect."""
    harness.append(_created(1))
    harness.context.reader.read_new(10)
    harness.redis.xgroup_destroy(INBOX, GROUP)
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 1
    assert harness.depth() == 0


def test_a_drain_leaves_when_its_time_is_up(harness: DrainHarness) -> None:
    """It says that the inbox was not seen empty, so that the task rings again."""
    harness.append(_created(1))
    assert drain_module.drain(harness.context, time.monotonic() - 1) is False
    recover(harness.context, time.monotonic() + 10)
    assert harness.depth() == 1


class _DeathError(BaseException):
    """Stands in for kill -9: nothing that handles errors may handle it."""


def _die(*_: object) -> None:
    raise _DeathError


def _connection_lost(*_: object, **__: object) -> None:
    raise RedisConnectionError


def _too_slow(*_: object) -> None:
    raise SoftTimeLimitExceeded


class _expected_death:  # noqa: N801 -- reads as a function
    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is _DeathError


def _left_behind_now(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count entries as left behind at once instead of after seconds."""
    monkeypatch.setattr("workers.inbox.reader.OWN_IDLE_MS", 0)
    monkeypatch.setattr("workers.inbox.reader.CLAIM_IDLE_MS", 0)
