"""From the inbox to the tables: batches, rejected entries, crashes, and databases that become unavailable."""

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
    """A harness on either database."""
    with open_harness(redis_url, database_url) as made:
        yield made


def test_an_appended_notification_becomes_a_row_and_leaves_the_inbox(harness: DrainHarness) -> None:
    """It is deleted from the inbox only after the commit."""
    harness.append(_created(1), _created(2))
    assert harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 2
    assert harness.depth() == 0
    assert harness.pending() == 0


def test_a_drain_leaves_no_doorbell_behind(harness: DrainHarness) -> None:
    """The key is deleted once the inbox is empty, so that the next append sends a message."""
    harness.redis.set(DOORBELL, "1")
    harness.append(_created(1))
    harness.drain()
    assert harness.redis.get(DOORBELL) is None


def test_a_full_batch_requests_a_second_drain(harness: DrainHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two drains share a backlog."""
    monkeypatch.setattr(drain_module, "BATCH_SIZE", 10)
    harness.append(*(_created(number) for number in range(25)))
    harness.drain()
    assert harness.second_drain_requests == 2
    assert harness.one("SELECT COUNT(*) FROM contacts") == 25


def test_a_rejected_entry_is_parked_and_the_others_are_applied(harness: DrainHarness) -> None:
    """The parked row has body and traceback."""
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


def test_the_others_in_a_rejected_batch_need_one_more_transaction(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The database names the row that it rejects, so the rest is applied at the second attempt."""
    refuse_name(harness, "poison")
    sizes = []
    commit = batch_module._commit

    def record(engine: Engine, read: Sequence[ReadEntry]) -> BatchResult:
        sizes.append(len(read))
        return commit(engine, read)

    monkeypatch.setattr(batch_module, "_commit", record)
    harness.append(*(_created(number, name="poison" if number == 311 else "Vera") for number in range(500)))
    harness.drain()
    assert sizes == [500, 499, 1]
    assert harness.one("SELECT COUNT(*) FROM contacts") == 499


def test_an_entry_that_fails_for_an_unknown_reason_is_found_by_splitting(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A programming error names no row."""

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
def test_a_signed_body_that_is_not_a_notification_is_parked(harness: DrainHarness, body: bytes, path: str) -> None:
    """The reason names the field; the other entries are applied."""
    harness.append(_created(1), body, _created(2))
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 2
    assert path in harness.one("SELECT reason FROM parked")
    assert harness.depth() == 0


def test_topics_that_are_not_mirrored_leave_nothing_in_the_tables(harness: DrainHarness) -> None:
    """Such as a ping, or a conversation."""
    harness.append(
        notification("ping", {"type": "ping"}), notification("conversation.user.created", {"id": "9"}, number=2)
    )
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM notifications") == 0
    assert harness.one("SELECT COUNT(*) FROM parked") == 0
    assert harness.depth() == 0


def test_an_unavailable_database_is_not_counted_as_a_crash(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch is released each time, and is applied once the database works again."""
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


def test_an_unavailable_redis_is_not_counted_as_a_crash(harness: DrainHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The batch is committed and not acknowledged, ten times: nothing is parked."""
    harness.append(_created(1))
    for _ in range(10):
        with monkeypatch.context() as patch:
            _abandon_at_once(patch)
            patch.setattr(InboxReader, "acknowledge", _connection_lost)
            with pytest.raises(RedisConnectionError):
                harness.drain()
    assert harness.context.reader.list_abandoned() == []
    _abandon_at_once(monkeypatch)
    assert [item.crashes for item in harness.context.reader.list_abandoned()] == [0]
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM changes") == 1
    assert harness.one("SELECT COUNT(*) FROM parked") == 0


def test_entries_that_could_not_be_released_are_released_later(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that did not crash while Redis was unavailable does not count as crashed."""
    harness.append(_created(1))
    entry = harness.context.reader.read_new(10)[0]
    with monkeypatch.context() as patch:
        patch.setattr(harness.redis, "xclaim", _connection_lost)
        harness.context.reader.release([entry.id])
    _abandon_at_once(monkeypatch)
    assert [item.crashes for item in harness.context.reader.list_abandoned()] == [0]


def test_a_time_limit_parks_nothing(harness: DrainHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The entries did not cause the slowness of the database."""
    harness.append(_created(1), _created(2))
    with monkeypatch.context() as patch:
        patch.setattr(batch_module, "apply", _too_slow)
        with pytest.raises(SoftTimeLimitExceeded):
            harness.drain()
    _abandon_at_once(monkeypatch)
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM parked") == 0
    assert harness.one("SELECT COUNT(*) FROM contacts") == 2


def test_a_crash_after_the_commit_repeats_nothing(harness: DrainHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Committed but not acknowledged: the next drain finds a duplicate and adds no second change."""
    harness.append(_created(1))
    entries = harness.context.reader.read_new(10)
    monkeypatch.setattr(InboxReader, "acknowledge", _crash)
    with pytest.raises(_CrashError):
        process_batch(harness.context, entries)
    monkeypatch.undo()
    _abandon_at_once(monkeypatch)
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM changes") == 1
    assert harness.depth() == 0


def test_the_entries_of_a_crashed_process_are_claimed_by_another(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They become rows."""
    harness.append(_created(1), _created(2))
    InboxReader(harness.redis, "crashed/3").read_new(10)
    _abandon_at_once(monkeypatch)
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 2


def test_an_entry_that_crashes_processes_is_processed_alone_and_then_parked_unread(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The others are applied; it is parked after MAX_CRASHES."""
    entries = harness.append(_created(1), _created(666), _created(3))
    _abandon_at_once(monkeypatch)
    real = parse

    def crash_on_666(body: bytes) -> Notification:
        if b"c0666" in body:
            raise _CrashError
        return real(body)

    monkeypatch.setattr(batch_module, "parse", crash_on_666)
    # A process that is killed releases nothing.
    monkeypatch.setattr(InboxReader, "release", lambda *_: None)
    for _ in range(8):
        with _expected_crash():
            harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 2
    assert harness.one("SELECT entry FROM parked") == entries[1]
    assert harness.one("SELECT deaths FROM parked") == drain_module.MAX_CRASHES
    assert harness.depth() == 0


def test_entries_of_two_crashed_processes_are_recovered_in_smaller_batches(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One by one they would take longer than a drain may run."""
    harness.append(*(_created(number) for number in range(60)))
    taken = [entry.id for entry in harness.context.reader.read_new(60)]
    ids: list[Any] = list(taken)
    harness.redis.xclaim(INBOX, GROUP, "crashed/3", 0, message_ids=ids, idle=CLAIM_IDLE_MS, retrycount=2, justid=True)
    sizes: list[int] = []

    def record(context: DrainContext, entries: Sequence[InboxEntry]) -> None:
        sizes.append(len(entries))
        process_batch(context, entries)

    monkeypatch.setattr(drain_module, "process_batch", record)
    harness.drain()
    assert sizes == [25, 25, 10]
    assert harness.depth() == 0


def test_entries_that_are_abandoned_while_a_drain_runs_are_recovered_by_it(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under load the next drain may start seconds later."""
    harness.append(_created(1), _created(2))
    [abandoned] = InboxReader(harness.redis, "crashed/3").read_new(1)
    monkeypatch.setattr(drain_module, "RECOVERY_SECONDS", 0.0)

    def abandon_meanwhile(context: DrainContext, entries: Sequence[InboxEntry]) -> None:
        process_batch(context, entries)
        harness.redis.xclaim(INBOX, GROUP, "crashed/3", 0, message_ids=[abandoned.id], idle=CLAIM_IDLE_MS, justid=True)

    monkeypatch.setattr(drain_module, "process_batch", abandon_meanwhile)
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 2


def test_a_second_drain_is_requested_for_what_another_process_holds_for_long(
    harness: DrainHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The successor of that process may claim it at once, other consumers only after half a minute."""
    harness.append(_created(1), _created(2))
    InboxReader(harness.redis, "test/1").read_new(1)
    harness.drain()
    assert harness.second_drain_requests == 0
    monkeypatch.setattr(reader_module, "OWN_IDLE_MS", 0)
    harness.drain()
    assert (harness.second_drain_requests, harness.pending()) == (1, 1)


def test_a_deleted_consumer_group_is_created_again_from_the_start(harness: DrainHarness) -> None:
    """Entries that were pending in the deleted group are processed again."""
    harness.append(_created(1))
    harness.context.reader.read_new(10)
    harness.redis.xgroup_destroy(INBOX, GROUP)
    harness.drain()
    assert harness.one("SELECT COUNT(*) FROM contacts") == 1
    assert harness.depth() == 0


def test_a_drain_stops_when_its_time_is_up(harness: DrainHarness) -> None:
    """It returns that the inbox was not empty, so that the task sends a doorbell."""
    harness.append(_created(1))
    assert drain_module.drain(harness.context, time.monotonic() - 1) is False
    recover(harness.context, time.monotonic() + 10)
    assert harness.depth() == 1


class _CrashError(BaseException):
    """In the place of kill -9: no error handling may catch it."""


def _crash(*_: object) -> None:
    raise _CrashError


def _connection_lost(*_: object, **__: object) -> None:
    raise RedisConnectionError


def _too_slow(*_: object) -> None:
    raise SoftTimeLimitExceeded


class _expected_crash:  # noqa: N801 -- reads as a function
    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> bool:
        return kind is _CrashError


def _abandon_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Count entries as abandoned at once instead of after seconds."""
    monkeypatch.setattr("workers.inbox.reader.OWN_IDLE_MS", 0)
    monkeypatch.setattr("workers.inbox.reader.CLAIM_IDLE_MS", 0)
