"""Parking: a notification that cannot be applied is kept in SQL, with body and traceback, until an operator decides."""

import traceback
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine, Row, select, update

from models.db.bulk import insert_new
from models.db.engine import transaction
from models.tables.column_types import datetime_text
from models.tables.internal_tables import parked
from settings.units import MS_PER_SECOND
from workers.inbox.reader import InboxEntry


class ParkReason(NamedTuple):
    """
    Why an entry is parked.

    Args:
        reason: may be logged.
        traceback: may quote the body, so it may not be logged.
        crashes: processes that crashed while they held the entry.
    """

    reason: str
    traceback: str
    crashes: int = 0


def reason_from_error(error: BaseException) -> ParkReason:
    """
    Return an error as a reason to park.

    Only the messages of our own errors are free of values. Of other errors, such as the database's, `reason` has the
    class name alone.
    """
    is_ours = type(error).__module__.startswith("intercom_api")
    reason = f"{type(error).__name__}: {error}" if is_ours else type(error).__name__
    return ParkReason(reason, "".join(traceback.format_exception(error)))


def park(engine: Engine, entries: Sequence[tuple[InboxEntry, ParkReason]], now: datetime) -> None:
    """Store entries in a transaction of their own. An entry that is parked already stays as it is."""
    columns = ("entry", "body", "reason", "traceback", "deaths", "received_at", "parked_at")
    rows = [
        (
            entry.id,
            entry.body,
            reason.reason,
            _storable(reason.traceback),
            reason.crashes,
            datetime_text(datetime.fromtimestamp(entry.received_ms / MS_PER_SECOND, UTC)),
            datetime_text(now),
        )
        for entry, reason in entries
    ]
    with transaction(engine) as connection:
        insert_new(connection, parked, columns, rows)


def list_parked(engine: Engine, *, replayed: bool = False) -> Sequence[Row[*tuple[Any, ...]]]:
    """
    List parked notifications, oldest first.

    Args:
        engine: for reading.
        replayed: include those that were replayed.

    Returns:
        Rows of (id, entry, reason, received_at, parked_at, replayed_at).
    """
    c = parked.c
    query = select(c.id, c.entry, c.reason, c.received_at, c.parked_at, c.replayed_at).order_by(c.id)
    with engine.connect() as connection:
        return connection.execute(query if replayed else query.where(c.replayed_at.is_(None))).all()


def find_parked(engine: Engine, parked_id: int) -> Row[*tuple[Any, ...]] | None:
    """Return the whole row of a parked notification, or None."""
    with engine.connect() as connection:
        return connection.execute(select(parked).where(parked.c.id == parked_id)).one_or_none()


def mark_replayed(engine: Engine, parked_id: int, now: datetime) -> None:
    """Record that a parked notification was appended to the inbox again."""
    with transaction(engine) as connection:
        connection.execute(update(parked).where(parked.c.id == parked_id).values(replayed_at=now))


def _storable(text: str) -> str:
    # PostgreSQL stores no NUL, and a traceback may quote one.
    return text.replace("\0", "\N{REPLACEMENT CHARACTER}")
