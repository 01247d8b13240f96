"""The data of `status`, read from Redis and SQL at one moment."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from redis import Redis
from sqlalchemy import Connection, Engine, func, select, text

from cli.terminal import jsonable
from models.tables.column_types import UtcDateTime
from models.tables.internal_tables import parked
from models.tables.public_tables import changes
from workers.inbox.backlog import measure_backlog
from workers.inbox.durability import check_durability
from workers.runtime import counters

# Changes that are shown: as many as fit below the tables on a small terminal.
_LAST_CHANGES = 8

# The object types in the order in which they are shown.
_OBJECT_TYPES = ("contact", "company", "tag", "segment")

_TIMES = ("last_notification_at", "last_backfill_at", "last_reconcile_at", "last_verify_at", "frozen_at")
# SQLite's views have no column types.
_STATUS = text("SELECT * FROM sync_status").columns(**dict.fromkeys(_TIMES, UtcDateTime()))


@dataclass(frozen=True)
class Reading:
    """
    The state at one moment.

    Attributes:
        at: seconds of `time.monotonic`.
        objects: a mapping for each workspace and object type, as in the view sync_status.
        parked: the number of parked notifications.
        inbox: depth, oldest_seconds, durable, and the sentence with the reason.
        numbers: every counter of /metrics by its field.
        last_changes: the newest changes of the feed, newest first.
    """

    at: float
    objects: list[dict[str, Any]]
    parked: int
    inbox: dict[str, Any]
    numbers: dict[str, float]
    last_changes: list[dict[str, Any]]

    def as_dict(self) -> dict[str, Any]:
        """Return the output of --json."""
        return {
            "inbox": self.inbox,
            "parked": self.parked,
            "objects": [jsonable(each) for each in self.objects],
            "totals": totals(self.numbers),
            "last_changes": [jsonable(each) for each in self.last_changes],
        }


class Rates(NamedTuple):
    """Rates between two readings; `lag_seconds` is the mean from arrival to commit, None if nothing arrived."""

    appended: float
    applied: float
    lag_seconds: float | None


def take(redis: Redis, engine: Engine) -> Reading:
    """Take a reading. Raises the errors of redis-py and SQLAlchemy."""
    with engine.connect() as connection:
        objects = [dict(row) for row in connection.execute(_STATUS).mappings()]
        waiting = connection.execute(select(func.count()).select_from(parked).where(parked.c.replayed_at.is_(None)))
        parked_count, last = waiting.scalar_one(), _last_changes(connection)
    inbox = {**measure_backlog(redis)._asdict(), **check_durability(redis)._asdict()}
    objects.sort(key=lambda each: (each["workspace_id"], _OBJECT_TYPES.index(each["object_type"])))
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
    """Sum the counters over their labels."""
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
    """Compare two readings; without time between them, all rates are zero."""
    seconds = now.at - before.at
    if seconds <= 0:
        return Rates(0.0, 0.0, None)
    increases = {name: value - before.numbers.get(name, 0.0) for name, value in now.numbers.items()}
    lag_sum = increases.get(counters.sum_field(counters.LAG_SECONDS), 0.0)
    lag_count = _total(increases, counters.LAG_SECONDS) - lag_sum
    lag = lag_sum / lag_count if lag_count > 0 else None
    return Rates(_total(increases, counters.APPENDED) / seconds, _total(increases, counters.APPLIED) / seconds, lag)
