"""
One batch of the inbox: read it, apply it in one transaction, park what cannot be applied, acknowledge it.

Nothing is acknowledged before its commit. If the database or Redis goes away the batch is given back and costs nobody
an attempt; an entry that the database refuses is found by splitting the batch, and parked with its body.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from redis import Redis
from sqlalchemy import Engine

from intercom_api.wire.envelope import parse
from models.apply import apply
from models.db.engine import transaction
from models.db.errors import describe_database_error, is_database_unavailable
from models.db.rejected_rows import RejectedRowError
from models.rule.observations import Report
from workers.facts.from_notification import report_from_notification
from workers.inbox import parking, refetch_requests
from workers.inbox.batch_counts import BatchResult, count_batch
from workers.inbox.doorbell import DOORBELL_MILLISECONDS
from workers.inbox.parking import ParkReason
from workers.inbox.reader import InboxEntry, InboxReader
from workers.runtime.counters import PARKED, count
from workers.runtime.redis_keys import DOORBELL

log = structlog.get_logger()

# Parts into which a batch is split where the database refuses something and does not say what. Halves would repeat
# the work of good neighbours more often; more parts would mean more transactions, each with its fixed cost.
PARTS = 8


class DatabaseAwayError(Exception):
    """The database cannot take a batch now; its entries were given back."""


# An entry with its report, or the reason why there is none, or the topic that is not mirrored.
ReadEntry = tuple[InboxEntry, Report | ParkReason | str]


class DrainContext(NamedTuple):
    """What a drain works with. `help_wanted` is called after a full batch, to ring for one more drain."""

    redis: Redis
    reader: InboxReader
    engine: Engine
    help_wanted: Callable[[], None]


def process_batch(tools: DrainContext, entries: Sequence[InboxEntry]) -> None:
    """
    Apply entries that are in hand, park what cannot be applied, acknowledge all.

    Raises:
        DatabaseAwayError: nothing was acknowledged that was not committed; the rest was given back.
        redis.exceptions.RedisError: the same, for Redis.
    """
    if not entries:
        return
    try:
        _apply_or_split(tools, [(entry, _read(entry)) for entry in entries])
    except BaseException as error:
        # The database, Redis, a time limit, a shutdown: nothing that the entries can help.
        tools.reader.give_back([entry.id for entry in entries])
        if is_database_unavailable(error):
            raise DatabaseAwayError(describe_database_error(error)) from error
        raise


def park_entry(tools: DrainContext, entry: InboxEntry, reason: ParkReason) -> None:
    """Park one entry, in a transaction of its own, and take it off the inbox."""
    parking.park(tools.engine, [(entry, reason)], datetime.now(UTC))
    pipeline = tools.redis.pipeline(transaction=True)
    tools.reader.acknowledge(pipeline, [entry.id])
    count(pipeline, PARKED)
    pipeline.execute()
    log.warning("notification parked", entry=entry.id, reason=reason.reason)


def _apply_or_split(tools: DrainContext, read: Sequence[ReadEntry]) -> None:
    try:
        handled = _commit(tools.engine, read)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        if is_database_unavailable(error):
            raise
        if len(read) == 1:
            refusal = error.__cause__ if isinstance(error, RejectedRowError) else error
            park_entry(tools, read[0][0], parking.because_of(refusal or error))
            return
        for part in _split(read, error):
            _apply_or_split(tools, part)
    else:
        _acknowledge(tools, handled)


def _split(read: Sequence[ReadEntry], error: Exception) -> list[Sequence[ReadEntry]]:
    """Part the good from the bad if the database said which row it refused, or else into equal parts."""
    if isinstance(error, RejectedRowError):
        suspects = [item for item in read if _is_named(item[1], error.key_values)]
        if 0 < len(suspects) < len(read):
            return [[item for item in read if item not in suspects], suspects]
    size = -(-len(read) // PARTS)
    return [read[start : start + size] for start in range(0, len(read), size)]


def _is_named(report: Report | ParkReason | str, names: frozenset[str]) -> bool:
    return (
        isinstance(report, Report)
        and report.workspace_id in names
        and any(seen.id in names for seen in report.observations)
    )


def _commit(engine: Engine, read: Sequence[ReadEntry]) -> BatchResult:
    entries = [entry for entry, _ in read]
    reports = [report for _, report in read if isinstance(report, Report)]
    unreadable = [(entry, reason) for entry, reason in read if isinstance(reason, ParkReason)]
    ignored = [topic for _, topic in read if isinstance(topic, str)]
    started = time.monotonic()
    outcomes: list[str] = []
    if reports:
        with transaction(engine) as connection:
            outcomes = apply(connection, reports, datetime.now(UTC))
    seconds = time.monotonic() - started
    if unreadable:
        parking.park(engine, unreadable, datetime.now(UTC))
    return BatchResult(entries, reports, outcomes, ignored, unreadable, seconds)


def _read(entry: InboxEntry) -> Report | ParkReason | str:
    """Return the report, the reason why there is none, or the topic that is not mirrored."""
    try:
        if entry.ours:
            return refetch_requests.parse_request(entry.body)
        notification = parse(entry.body)
        return (
            report_from_notification(notification, entry=entry.id, received_at=entry.received_at) or notification.topic
        )
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # noqa: BLE001 -- also what we failed to foresee must not stop the neighbours
        return parking.because_of(error)


def _acknowledge(tools: DrainContext, handled: BatchResult) -> None:
    pipeline = tools.redis.pipeline(transaction=True)
    tools.reader.acknowledge(pipeline, [entry.id for entry in handled.entries])
    # While a drain is at work nobody needs to ring; if it dies, this runs out and the beat rings.
    pipeline.set(DOORBELL, "1", px=DOORBELL_MILLISECONDS)
    count_batch(pipeline, handled)
    pipeline.execute()
    for entry, reason in handled.unreadable:
        log.warning("notification parked", entry=entry.id, reason=reason.reason)
    first, last = handled.entries[0].id, handled.entries[-1].id
    seconds = round(handled.seconds, 4)
    log.info("batch applied", count=len(handled.entries), first_entry=first, last_entry=last, seconds=seconds)
