"""What the database contains of the notifications of a run: ledger, parked rows, change rows."""

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
    What the database contains.

    `applied`: ids in the ledger; `parked`: the reason for each id that was parked; `outcomes`: the number of ledger
    rows by outcome; `repeated_changes`: change rows that report the same change of the same notification as another.
    """

    applied: frozenset[str]
    parked: dict[str, str]
    outcomes: Counter[str]
    repeated_changes: int


def read(engine: Engine) -> StoredNotifications:
    """Read the tables."""
    with engine.connect() as connection:
        ledger = connection.execute(text("SELECT id, outcome FROM notifications")).all()
        return StoredNotifications(
            applied=frozenset(row.id for row in ledger),
            parked=_parked(connection),
            outcomes=Counter(row.outcome for row in ledger),
            repeated_changes=_repeated_changes(connection),
        )


def duplicates_in(counters: Mapping[str, float]) -> int:
    """Return how many notifications were in the ledger already, by the counters behind /metrics."""
    return int(sum(amount for name, amount in counters.items() if name.startswith(APPLIED) and _DUPLICATE in name))


def _parked(connection: Connection) -> dict[str, str]:
    rows = connection.execute(text("SELECT body, reason FROM parked"))
    return {str(msgspec.json.decode(row.body)["id"]): row.reason for row in rows}


def _repeated_changes(connection: Connection) -> int:
    columns = "notification_id, object_type, object_id, op, related_type, related_id"
    rows = f"SELECT {columns} FROM changes WHERE notification_id IS NOT NULL"  # noqa: S608 -- constants
    query = f"SELECT (SELECT count(*) FROM ({rows}) AS a) - (SELECT count(*) FROM (SELECT DISTINCT * FROM ({rows}) AS b) AS c)"  # noqa: E501, S608
    return int(connection.execute(text(query)).scalar_one())


def ids_in(notifications: Iterable[EmulatedNotification]) -> frozenset[str]:
    """Return the ids of all objects that the notifications contain: those which may differ if they were lost."""
    ids: set[str] = set()
    for notification in notifications:
        _collect_ids(notification.item, ids)
        ids.add(notification.object_id)
    return frozenset(ids)


def _collect_ids(value: Any, ids: set[str]) -> None:
    if isinstance(value, dict):
        if isinstance(value.get("id"), str):
            ids.add(value["id"])
        for inner in value.values():
            _collect_ids(inner, ids)
    elif isinstance(value, list):
        for inner in value:
            _collect_ids(inner, ids)
