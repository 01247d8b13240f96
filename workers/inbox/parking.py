"""Parking: notifications that were given up are kept, with body and traceback, until a person decides."""

import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, Row, select, update

from models.db.bulk import insert_new
from models.db.engine import transaction
from models.tables.column_types import datetime_text
from models.tables.internal_tables import parked
from workers.inbox.reader import InboxEntry


class ParkReason(NamedTuple):
    """Why an entry is given up; `reason` may be logged, the traceback may not."""

    reason: str
    traceback: str
    deaths: int = 0


def because_of(error: BaseException) -> ParkReason:
    """Make the reason of an error; database errors quote values, so of foreign errors only the name is given."""
    ours = type(error).__module__.startswith("intercom_api")
    words = f"{type(error).__name__}: {error}" if ours else type(error).__name__
    return ParkReason(words, "".join(traceback.format_exception(error)))


def park(engine: Engine, given_up: Sequence[tuple[InboxEntry, ParkReason]], now: datetime) -> None:
    """Keep entries in a transaction of their own; parking one twice keeps the first."""
    columns = ("entry", "body", "reason", "traceback", "deaths", "received_at", "parked_at")
    rows = [
        (
            entry.id,
            entry.body,
            reason.reason,
            _storable(reason.traceback),
            reason.deaths,
            _received(entry),
            datetime_text(now),
        )
        for entry, reason in given_up
    ]
    with transaction(engine) as connection:
        insert_new(connection, parked, columns, rows)


def list_parked(engine: Engine, *, replayed: bool = False) -> Sequence[Row[*tuple[Any, ...]]]:
    """List (id, entry, reason, received_at, parked_at, replayed_at) of what waits; on request also the replayed."""
    c = parked.c
    query = select(c.id, c.entry, c.reason, c.received_at, c.parked_at, c.replayed_at).order_by(c.id)
    with engine.connect() as connection:
        return connection.execute(query if replayed else query.where(c.replayed_at.is_(None))).all()


def find_parked(engine: Engine, parked_id: int) -> Row[*tuple[Any, ...]] | None:
    """Return the whole row of one parked notification; None if there is none of that number."""
    with engine.connect() as connection:
        return connection.execute(select(parked).where(parked.c.id == parked_id)).one_or_none()


def mark_replayed(engine: Engine, parked_id: int, now: datetime) -> None:
    """Remember that a parked notification went back into the inbox."""
    with transaction(engine) as connection:
        connection.execute(update(parked).where(parked.c.id == parked_id).values(replayed_at=now))


def _received(entry: InboxEntry) -> str:
    return datetime_text(datetime.fromtimestamp(entry.received_at / 1000, UTC))


def _storable(text: str) -> str:
    # PostgreSQL stores no NUL, and a traceback may quote one.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
