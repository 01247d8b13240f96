"""
Process one batch of inbox entries.

1.  Read each entry: it becomes a report, or a topic that is not mirrored, or a reason to park it.
2.  Apply all reports in one transaction, and commit.
3.  Park the unreadable entries, in a second transaction.
4.  Only then, in one transaction of Redis: acknowledge and delete the entries, renew the doorbell key, add to the
    counters.

What happens when a step fails:

-   The database or Redis is unavailable, or the task reaches its time limit: the batch is released. It is not counted
    as a crash, since the entries did not cause it.
-   The database rejects a row: the batch is split, and each part starts at step 2. If the error names the row, the
    entries that have to do with it are one part and the rest the other; if not, the batch is divided into PARTS. A
    single entry that is rejected is parked.
-   The process crashes: nothing was acknowledged before its commit, so the entries are processed again. The ledger of
    notifications recognises those that were committed.
"""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from celery.exceptions import SoftTimeLimitExceeded
from redis import Redis
from sqlalchemy import Engine

from intercom_api.wire.envelope import parse
from models.apply import apply
from models.db.database_errors import describe_database_error, is_database_unavailable
from models.db.engine import transaction
from models.db.rejected_rows import RejectedRowError
from models.rule.observations import Report
from settings.units import MS_PER_SECOND
from workers.facts.from_notification import report_from_notification
from workers.inbox import parking, refetch_requests
from workers.inbox.doorbell import DOORBELL_MILLISECONDS
from workers.inbox.parking import ParkReason
from workers.inbox.reader import InboxEntry, InboxReader
from workers.runtime.counters import (
    APPLIED,
    BATCH_SIZE,
    COMMIT_SECONDS,
    IGNORED,
    LAG_SECONDS,
    PARKED,
    HistogramSink,
    count,
    observe,
    observe_many,
)
from workers.runtime.redis_keys import DOORBELL

log = structlog.get_logger()

# Parts of a batch that was rejected for an unknown reason. With halves, the work of good entries would be repeated more
# often; with more parts, there would be more transactions, each with its fixed cost.
PARTS = 8

# Characters of a topic in /metrics. A sender of invented topics must not fill the labels.
_MAX_TOPIC_LENGTH = 60


class DatabaseUnavailableError(Exception):
    """The database cannot take a batch at the moment; its entries were released."""


class DrainContext(NamedTuple):
    """
    What a drain works with.

    Args:
        redis: the client for acknowledgements and counters.
        reader: the inbox, as this process's consumer.
        engine: for writing.
        request_second_drain: called when there is work for one more drain.
    """

    redis: Redis
    reader: InboxReader
    engine: Engine
    request_second_drain: Callable[[], None]


# An entry with its report, or the reason to park it, or its topic if that is not mirrored.
ReadEntry = tuple[InboxEntry, Report | ParkReason | str]


class BatchResult(NamedTuple):
    """
    What became of a batch that was committed.

    Args:
        entries: all of them.
        reports: those that were applied.
        outcomes: one per report.
        ignored_topics: one per entry whose topic is not mirrored.
        parked: entries that could not be read.
        seconds: duration of the transaction.
    """

    entries: Sequence[InboxEntry]
    reports: Sequence[Report]
    outcomes: Sequence[str]
    ignored_topics: Sequence[str]
    parked: Sequence[tuple[InboxEntry, ParkReason]]
    seconds: float


def process_batch(context: DrainContext, entries: Sequence[InboxEntry]) -> None:
    """
    Apply the entries of this consumer, park what cannot be applied, acknowledge all; see the module's docstring.

    Raises:
        DatabaseUnavailableError: nothing was acknowledged that was not committed; the rest was released.
        redis.exceptions.RedisError: the same, for Redis.
    """
    if not entries:
        return
    try:
        _apply_or_split(context, [(entry, _read(entry)) for entry in entries])
    except BaseException as error:
        context.reader.release([entry.id for entry in entries])
        if is_database_unavailable(error):
            raise DatabaseUnavailableError(describe_database_error(error)) from error
        raise


def park_entry(context: DrainContext, entry: InboxEntry, reason: ParkReason) -> None:
    """Park one entry, in a transaction of its own, then acknowledge it."""
    parking.park(context.engine, [(entry, reason)], datetime.now(UTC))
    pipeline = context.redis.pipeline(transaction=True)
    context.reader.acknowledge(pipeline, [entry.id])
    count(pipeline, PARKED)
    pipeline.execute()
    log.warning("notification parked", entry=entry.id, reason=reason.reason)


def _read(entry: InboxEntry) -> Report | ParkReason | str:
    try:
        if entry.is_refetch_request:
            return refetch_requests.report_from_request(entry.body)
        notification = parse(entry.body)
        report = report_from_notification(notification, entry=entry.id, received_at=entry.received_ms)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:  # noqa: BLE001 -- an unexpected error must not stop the other entries either
        return parking.reason_from_error(error)
    else:
        return report or notification.topic


def _apply_or_split(context: DrainContext, read: Sequence[ReadEntry]) -> None:
    try:
        result = _commit(context.engine, read)
    except SoftTimeLimitExceeded:
        raise
    except Exception as error:
        if is_database_unavailable(error):
            raise
        if len(read) == 1:
            cause = error.__cause__ if isinstance(error, RejectedRowError) else None
            park_entry(context, read[0][0], parking.reason_from_error(cause or error))
            return
        for part in _split(read, error):
            _apply_or_split(context, part)
    else:
        _acknowledge(context, result)


def _split(read: Sequence[ReadEntry], error: Exception) -> list[Sequence[ReadEntry]]:
    if isinstance(error, RejectedRowError):
        suspects = [item for item in read if _mentions(item[1], error.key_values)]
        if 0 < len(suspects) < len(read):
            return [[item for item in read if item not in suspects], suspects]
    size = -(-len(read) // PARTS)
    return [read[start : start + size] for start in range(0, len(read), size)]


def _mentions(report: Report | ParkReason | str, key_values: frozenset[str]) -> bool:
    return (
        isinstance(report, Report)
        and report.workspace_id in key_values
        and any(observation.id in key_values for observation in report.observations)
    )


def _commit(engine: Engine, read: Sequence[ReadEntry]) -> BatchResult:
    reports = [report for _, report in read if isinstance(report, Report)]
    unreadable = [(entry, reason) for entry, reason in read if isinstance(reason, ParkReason)]
    started = time.monotonic()
    outcomes: list[str] = []
    if reports:
        with transaction(engine) as connection:
            outcomes = apply(connection, reports, datetime.now(UTC))
    seconds = time.monotonic() - started
    if unreadable:
        parking.park(engine, unreadable, datetime.now(UTC))
    ignored_topics = [topic for _, topic in read if isinstance(topic, str)]
    return BatchResult([entry for entry, _ in read], reports, outcomes, ignored_topics, unreadable, seconds)


def _acknowledge(context: DrainContext, result: BatchResult) -> None:
    pipeline = context.redis.pipeline(transaction=True)
    context.reader.acknowledge(pipeline, [entry.id for entry in result.entries])
    # A running drain needs no doorbell. If it crashes, the key expires and Celery beat sends one.
    pipeline.set(DOORBELL, "1", px=DOORBELL_MILLISECONDS)
    _add_counters(pipeline, result)
    pipeline.execute()
    for entry, reason in result.parked:
        log.warning("notification parked", entry=entry.id, reason=reason.reason)
    first, last = result.entries[0].id, result.entries[-1].id
    seconds = round(result.seconds, 4)
    log.info("batch applied", count=len(result.entries), first_entry=first, last_entry=last, seconds=seconds)


def _add_counters(pipeline: HistogramSink, result: BatchResult) -> None:
    applied = Counter(
        (report.notification.topic, outcome)
        for report, outcome in zip(result.reports, result.outcomes, strict=True)
        if report.notification
    )
    for (topic, outcome), amount in applied.items():
        count(pipeline, APPLIED, amount, outcome=outcome, topic=topic)
    for topic, amount in Counter(result.ignored_topics).items():
        count(pipeline, IGNORED, amount, topic=topic[:_MAX_TOPIC_LENGTH])
    if result.parked:
        count(pipeline, PARKED, len(result.parked))
    if result.reports:
        observe(pipeline, BATCH_SIZE, len(result.reports))
        observe(pipeline, COMMIT_SECONDS, result.seconds)
    now_ms = time.time() * MS_PER_SECOND
    observe_many(pipeline, LAG_SECONDS, ((now_ms - entry.received_ms) / MS_PER_SECOND for entry in result.entries))
