"""The books of a run: what Intercom was told, and what the database has of it."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, text

from emulator.emulated_notification import EmulatedNotification
from workers.runtime.counters import APPLIED

_DUPLICATE = "outcome=duplicate"


@dataclass(frozen=True)
class StoredNotifications:
    """
    What the database has.

    `applied`: ids in the ledger; `parked`: ids of notifications that were given up, and why; `repeated_changes`: lines
    of the feed that say the same of the same notification as another line.
    """

    applied: frozenset[str]
    parked: dict[str, str]
    outcomes: Counter[str]
    repeated_changes: int


def read(engine: Engine) -> StoredNotifications:
    """Read them."""
    with engine.connect() as connection:
        ledger = connection.execute(text("SELECT id, outcome FROM notifications")).all()
        return StoredNotifications(
            applied=frozenset(row.id for row in ledger),
            parked=_parked(connection),
            outcomes=Counter(row.outcome for row in ledger),
            repeated_changes=_repeated_changes(connection),
        )


def duplicates_in(numbers: Mapping[str, float]) -> int:
    """Count the notifications that the drain found in its ledger already, from the numbers behind /metrics."""
    return int(sum(amount for name, amount in numbers.items() if name.startswith(APPLIED) and _DUPLICATE in name))


def _parked(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text("SELECT body, reason FROM parked"))
    return {str(msgspec.json.decode(row.body)["id"]): row.reason for row in rows}


def _repeated_changes(connection: Connection) -> int:
    line = "notification_id, object_type, object_id, op, related_type, related_id"
    lines = f"SELECT {line} FROM changes WHERE notification_id IS NOT NULL"  # noqa: S608 -- constants
    query = f"SELECT (SELECT count(*) FROM ({lines}) AS a) - (SELECT count(*) FROM (SELECT DISTINCT * FROM ({lines}) AS b) AS c)"  # noqa: E501, S608
    return int(connection.execute(text(query)).scalar_one())


def ids_in(notifications: Iterable[EmulatedNotification]) -> frozenset[str]:
    """Return the ids of every object that the notifications name, to know what a lost one leaves in doubt."""
    found: set[str] = set()
    for notification in notifications:
        _collect(notification.item, found)
        found.add(notification.object_id)
    return frozenset(found)


def _collect(value: Any, found: set[str]) -> None:
    if isinstance(value, dict):
        if isinstance(value.get("id"), str):
            found.add(value["id"])
        for inner in value.values():
            _collect(inner, found)
    elif isinstance(value, list):
        for inner in value:
            _collect(inner, found)
