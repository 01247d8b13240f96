"""What `status` shows, taken in one look at Redis and SQL."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from redis import Redis
from sqlalchemy import Connection, Engine, func, select, text

from models.tables.column_types import UtcDateTime
from models.tables.internal_tables import parked
from models.tables.public_tables import changes
from workers.inbox.backlog import measure_backlog
from workers.inbox.durability import check_durability
from workers.runtime import counters

# Lines of the feed that are shown: what fits under the tables on a small terminal.
_LAST_CHANGES = 8

# A workspace's kinds of objects in the order of interest.
_KINDS = ("contact", "company", "tag", "segment")

_TIMES = ("last_notification_at", "last_backfill_at", "last_reconcile_at", "last_verify_at", "frozen_at")
# SQLite's views have no types of their own.
_STATUS = text("SELECT * FROM sync_status").columns(**dict.fromkeys(_TIMES, UtcDateTime()))


@dataclass(frozen=True)
class Reading:
    """
    One look.

    Attributes:
        at: by this machine's clock, in seconds of `time.monotonic`.
        objects: a mapping for each workspace and kind, as in the view sync_status.
        parked: notifications that wait for a person.
        inbox: depth, oldest_seconds, durable, and the sentence that says why.
        numbers: every counter of /metrics by its field.
        last_changes: the newest lines of the feed, newest first.
    """

    at: float
    objects: list[dict[str, Any]]
    parked: int
    inbox: dict[str, Any]
    numbers: dict[str, float]
    last_changes: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Return what --json prints."""
        return {
            "inbox": self.inbox,
            "parked": self.parked,
            "objects": [_written(each) for each in self.objects],
            "totals": totals(self.numbers),
            "last_changes": [_written(each) for each in self.last_changes],
        }


class Rates(NamedTuple):
    """What happened between two looks; `lag_seconds` is the mean from arrival to commit, None if nothing came."""

    appended: float
    applied: float
    lag_seconds: float | None


def take(redis: Redis, engine: Engine) -> Reading:
    """Look once. Raises what redis-py and SQLAlchemy raise."""
    with engine.connect() as connection:
        objects = [dict(row) for row in connection.execute(_STATUS).mappings()]
        waiting = connection.execute(select(func.count()).select_from(parked).where(parked.c.replayed_at.is_(None)))
        parked_count, last = waiting.scalar_one(), _last_changes(connection)
    inbox = {**measure_backlog(redis)._asdict(), **check_durability(redis)._asdict()}
    objects.sort(key=lambda each: (each["workspace_id"], _KINDS.index(each["object_type"])))
    return Reading(time.monotonic(), objects, parked_count, inbox, counters.read(redis), last)


def _last_changes(connection: Connection) -> list[dict[str, Any]]:
    c = changes.c
    columns = (
        c.seq,
        c.workspace_id,
        c.object_type,
        c.object_id,
        c.op,
        c.related_type,
        c.related_id,
        c.changed_fields,
        c.at,
    )
    query = select(*columns).order_by(c.seq.desc()).limit(_LAST_CHANGES)
    return [dict(row) for row in connection.execute(query).mappings()]


def totals(numbers: Mapping[str, float]) -> dict[str, int]:
    """Add up the counters over their labels."""
    names = {
        "accepted": counters.ACCEPTED,
        "refused": counters.REFUSED,
        "appended": counters.APPENDED,
        "applied": counters.APPLIED,
        "ignored": counters.IGNORED,
        "parked": counters.PARKED,
    }
    return {short: int(_total(numbers, name)) for short, name in names.items()}


def _total(numbers: Mapping[str, float], name: str) -> float:
    return sum(value for field, value in numbers.items() if field.partition("?")[0] == name)


def rates(before: Reading, now: Reading) -> Rates:
    """Compare two looks; over no time nothing happened."""
    seconds = now.at - before.at
    if seconds <= 0:
        return Rates(0.0, 0.0, None)
    grown = {name: value - before.numbers.get(name, 0.0) for name, value in now.numbers.items()}
    lag_sum = grown.get(counters.sum_field(counters.LAG_SECONDS), 0.0)
    lag_count = _total(grown, counters.LAG_SECONDS) - lag_sum
    lag = lag_sum / lag_count if lag_count > 0 else None
    return Rates(_total(grown, counters.APPENDED) / seconds, _total(grown, counters.APPLIED) / seconds, lag)


def _written(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()}
