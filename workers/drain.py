"""
Draining the inbox: read a batch, turn it into reports, apply them in one transaction, commit, acknowledge; repeat.

Nothing is acknowledged before its commit. If the database goes away the batch is given back and costs nobody an
attempt; a notification that fails alone is parked with its body; one in whose company processes keep dying is taken
alone, and after a few deaths is parked unread.
"""

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

import structlog
from redis import Redis
from sqlalchemy import Engine

from intercom_api.errors import MalformedNotificationError
from intercom_api.notifications import parse
from models.apply import apply
from models.engine import transaction
from models.errors import database_is_away
from models.observations import Report
from workers import parking
from workers.batch_counts import Handled, count_batch
from workers.counters import PARKED, count
from workers.inbox import doorbell
from workers.inbox.keys import DOORBELL
from workers.inbox.reader import Entry, Reader
from workers.observe import observe
from workers.parking import Reason

log = structlog.get_logger()

# Notifications in one transaction: large enough that the fixed cost of a transaction hardly counts, small enough
# that a batch takes a fraction of a second and a poison entry is found in a few halvings.
BATCH = 500

# Seconds after which a drain leaves for another one to go on: well below Celery's soft limit.
DRAIN_SECONDS = 10.0

# Milliseconds that a drain waits at an empty inbox before it leaves; saves a doorbell when another one comes soon.
LINGER_MS = 50

# A batch from this size on is a sign of load; under load batches start no sooner than this many seconds after each
# other, so that they are large: a transaction for every few notifications would cost more than it gives.
PACED_FROM = 20
PACE_SECONDS = 0.04

# An entry whose processes died this many times is parked without being read again.
MOST_DEATHS = 4
# From this many deaths on an entry is taken alone, so that it can take no other one down with it.
ALONE_FROM = 2


class DatabaseAwayError(Exception):
    """The database cannot take a batch now; its entries were given back."""


class Tools(NamedTuple):
    """What a drain works with. `help_wanted` is called after a full batch, to ring for one more drain."""

    redis: Redis
    reader: Reader
    engine: Engine
    help_wanted: Callable[[], None]


def drain(tools: Tools, until: float) -> bool:
    """
    Apply what is in the inbox.

    Args:
        tools: those of this process.
        until: when to leave, in seconds of `time.monotonic`.

    Returns:
        Whether the inbox was seen empty; if not, ring again.

    Raises:
        DatabaseAwayError: back off; the inbox keeps everything.
    """
    recover(tools)
    silenced = False
    while time.monotonic() < until:
        started = time.monotonic()
        entries = tools.reader.read_new(BATCH, None if silenced else LINGER_MS)
        if entries:
            silenced = False
            handle(tools, entries)
            _pace(tools, len(entries), started)
        elif silenced:
            return True
        else:
            # The doorbell goes before the last look: an append that this look does not see rings again.
            doorbell.silence(tools.redis)
            silenced = True
    return False


def recover(tools: Tools) -> None:
    """Take up what dead processes left behind: together at first, alone once a second process died of it."""
    left = tools.reader.left_behind()
    handle(tools, tools.reader.claim([item.id for item in left if item.deaths < ALONE_FROM][:BATCH]))
    for item in left:
        if item.deaths < ALONE_FROM:
            continue
        entries = tools.reader.claim([item.id])
        if item.deaths < MOST_DEATHS:
            handle(tools, entries)
        elif entries:
            _give_up(tools, entries[0], Reason("processes died with it in hand", "", item.deaths))


def handle(tools: Tools, entries: Sequence[Entry]) -> None:
    """
    Apply entries that are in hand, park what cannot be applied, acknowledge all.

    Raises:
        DatabaseAwayError: nothing was acknowledged that was not committed; the rest was given back.
    """
    if not entries:
        return
    try:
        _apply_or_halve(tools, entries)
    except BaseException as error:
        # The database, a time limit, a shutdown: nothing that the entries can help.
        tools.reader.give_back([entry.id for entry in entries])
        if database_is_away(error):
            raise DatabaseAwayError(type(error).__name__) from error
        raise


def _apply_or_halve(tools: Tools, entries: Sequence[Entry]) -> None:
    try:
        _apply(tools, entries)
    except Exception as error:
        if database_is_away(error):
            raise
        if len(entries) == 1:
            _give_up(tools, entries[0], parking.because_of(error))
            return
        middle = len(entries) // 2
        _apply_or_halve(tools, entries[:middle])
        _apply_or_halve(tools, entries[middle:])


def _apply(tools: Tools, entries: Sequence[Entry]) -> None:
    read = [(entry, _read(entry)) for entry in entries]
    reports = [report for _, report in read if isinstance(report, Report)]
    unreadable = [(entry, reason) for entry, reason in read if isinstance(reason, Reason)]
    started = time.monotonic()
    outcomes: list[str] = []
    if reports:
        with transaction(tools.engine) as connection:
            outcomes = apply(connection, reports, datetime.now(UTC))
    seconds = time.monotonic() - started
    if unreadable:
        parking.park(tools.engine, unreadable, datetime.now(UTC))
    ignored = [topic for _, topic in read if isinstance(topic, str)]
    pipeline = tools.redis.pipeline(transaction=True)
    tools.reader.acknowledge(pipeline, [entry.id for entry in entries])
    # While a drain is at work nobody needs to ring; if it dies, this runs out and the beat rings.
    pipeline.set(DOORBELL, "1", px=doorbell.DOORBELL_MILLISECONDS)
    count_batch(pipeline, Handled(entries, reports, outcomes, ignored, len(unreadable), seconds))
    pipeline.execute()
    for entry, reason in unreadable:
        log.warning("notification parked", entry=entry.id, reason=reason.reason)
    log.info("batch applied", count=len(entries), first_entry=entries[0].id, last_entry=entries[-1].id,
             seconds=round(seconds, 4))  # fmt: skip


def _read(entry: Entry) -> Report | Reason | str:
    """Return the report, the reason why there is none, or the topic that is not mirrored."""
    try:
        notification = parse(entry.body)
        return observe(notification, entry=entry.id, received_at=entry.received_at) or notification.topic
    except MalformedNotificationError as error:
        return parking.because_of(error)


def _give_up(tools: Tools, entry: Entry, reason: Reason) -> None:
    parking.park(tools.engine, [(entry, reason)], datetime.now(UTC))
    pipeline = tools.redis.pipeline(transaction=True)
    tools.reader.acknowledge(pipeline, [entry.id])
    count(pipeline, PARKED)
    pipeline.execute()
    log.warning("notification parked", entry=entry.id, reason=reason.reason)


def _pace(tools: Tools, size: int, started: float) -> None:
    if size >= BATCH:
        tools.help_wanted()
    elif size >= PACED_FROM:
        # Waiting is the point here: the inbox fills meanwhile.
        time.sleep(max(0.0, PACE_SECONDS - (time.monotonic() - started)))
