"""Phase 3 of applying a batch: write each row once, however many reports touched it; the change feed last."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from models.apply.decide_batch import BatchOutcome, ChangeRow, LedgerRow, LinkStateRow, ObjectRow
from models.apply.guards import GUARD_COLUMNS, guard_values
from models.apply.keys import LinkKey, ObjectKey
from models.db.bulk import append_rows, delete_by_keys, insert_new, upsert
from models.queries.change_feed import CHANNEL
from models.rule.observations import LINKS
from models.rule.state import ListState
from models.tables.column_types import datetime_text, utc_text
from models.tables.columns import column_values
from models.tables.internal_tables import contact_merges, link_states, notifications, object_states, sync_marks
from models.tables.public_tables import ENTITIES, LINK_TABLES, Entity, changes
from settings.units import MS_PER_SECOND

# Number of the advisory lock that guards the order of `changes.seq`; any number that other users of the database are
# unlikely to use.
_FEED_LOCK = 7_263_541_908_112_233

_LINK_KEY = ("workspace_id", "kind", "owner_id", "other_id")
_LEDGER_COLUMNS = tuple(column.name for column in notifications.columns)
_CHANGE_COLUMNS = tuple(column.name for column in changes.columns if column.name != "seq")

_encode = msgspec.json.Encoder().encode


def write(connection: Connection, outcome: BatchOutcome, now: datetime) -> None:
    """Write everything that was decided; the caller commits."""
    synced_at = datetime_text(now)
    guard_rows = [(*key, *guard_values(outcome.states[key])) for key in outcome.guards]
    upsert(connection, object_states, GUARD_COLUMNS, guard_rows)
    _write_objects(connection, outcome.objects, synced_at)
    _delete_rows(connection, outcome.deleted)
    _write_link_states(connection, outcome.link_states)
    _write_links(connection, outcome.shown_links, outcome.hidden_links)
    merges = [(key.workspace_id, key.object_id, fact.into_id, utc_text(fact.merged_at)) for key, fact in outcome.merges]
    upsert(connection, contact_merges, ("workspace_id", "from_id", "into_id", "merged_at"), merges)
    _write_ledger(connection, outcome.ledger, now)
    _write_changes(connection, outcome.changes, synced_at)


def _write_objects(connection: Connection, objects: Sequence[ObjectRow], synced_at: str) -> None:
    for object_type, entity in ENTITIES.items():
        rows = [_object_row(entity, each, synced_at) for each in objects if each.key.object_type == object_type]
        upsert(connection, entity.table, entity.columns, rows)


def _object_row(entity: Entity, row: ObjectRow, synced_at: str) -> tuple[Any, ...]:
    content, registers = row.state.content, row.state.registers
    assert content is not None and registers.version is not None  # noqa: S101, PT018 -- only such rows are written
    custom_attributes = (
        [registers.is_archived, _encode(content.get("custom_attributes") or {}).decode()]
        if entity.has_custom_attributes
        else []
    )
    complete = [registers.lists.get(kind, ListState()).is_complete for kind in entity.embedded.values()]
    confirmed_at_ms = registers.confirmed_at_ms
    verified_at = None if confirmed_at_ms is None else utc_text(confirmed_at_ms // MS_PER_SECOND)
    return (
        row.key.workspace_id,
        row.key.object_id,
        *column_values(entity.fields, content),
        *custom_attributes,
        *complete,
        _encode(content).decode(),
        row.source,
        registers.version.second,
        synced_at,
        verified_at,
    )


def _delete_rows(connection: Connection, keys: Sequence[ObjectKey]) -> None:
    """Delete the rows of gone objects and of all their links; the links stay remembered in `link_states`."""
    if not keys:
        return
    for object_type, entity in ENTITIES.items():
        ids = [(key.workspace_id, key.object_id) for key in keys if key.object_type == object_type]
        delete_by_keys(connection, entity.table, ("workspace_id", "id"), ids)
        for kind, ends in LINKS.items():
            if object_type in ends:
                delete_by_keys(connection, LINK_TABLES[kind], ("workspace_id", f"{object_type}_id"), ids)


def _write_link_states(connection: Connection, links: Sequence[LinkStateRow]) -> None:
    rows = [
        (*link.key, link.state.present, _encode(link.state.stamp).decode()) for link in links if link.state is not None
    ]
    upsert(connection, link_states, (*_LINK_KEY, "present", "stamp"), rows)
    delete_by_keys(connection, link_states, _LINK_KEY, [link.key for link in links if link.state is None])


def _write_links(connection: Connection, shown: Sequence[LinkKey], hidden: Sequence[LinkKey]) -> None:
    """Insert and delete rows of the link tables, which hold the links that the application reads."""
    for kind, (owner, other) in LINKS.items():
        columns = ("workspace_id", f"{owner}_id", f"{other}_id")
        insert_new(connection, LINK_TABLES[kind], columns, _rows_of_kind(shown, kind))
        delete_by_keys(connection, LINK_TABLES[kind], columns, _rows_of_kind(hidden, kind))


def _rows_of_kind(links: Sequence[LinkKey], kind: str) -> list[tuple[str, str, str]]:
    return [(link.workspace_id, link.owner_id, link.other_id) for link in links if link.kind == kind]


def _write_ledger(connection: Connection, ledger: Sequence[LedgerRow], now: datetime) -> None:
    applied_at = datetime_text(now)
    rows, lags = [], {}
    for notification, subject, result in ledger:
        rows.append(
            (
                subject.workspace_id,
                notification.id,
                notification.topic,
                subject.object_type,
                subject.object_id,
                utc_text(notification.created_at),
                utc_text(notification.received_at // MS_PER_SECOND),
                applied_at,
                result,
                notification.entry,
            )
        )
        lags[subject.workspace_id, subject.object_type] = now.timestamp() - notification.received_at / MS_PER_SECOND
    insert_new(connection, notifications, _LEDGER_COLUMNS, rows)
    upsert(
        connection,
        sync_marks,
        ("workspace_id", "object_type", "last_notification_at", "lag_seconds"),
        [(*key, applied_at, lag) for key, lag in sorted(lags.items())],
    )


def _write_changes(connection: Connection, rows: Sequence[ChangeRow], at: str) -> None:
    """
    Append to the change feed.

    Sequence numbers are drawn under a lock that is held until the commit, so that they become visible in order: a
    reader that remembers the last `seq` never misses a change.
    """
    if rows and connection.dialect.name == "postgresql":
        # In one round trip: the commit that makes the changes visible also notifies the processes that wait for them.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s), pg_notify(%s, '')", (_FEED_LOCK, CHANNEL))
    values = [
        (
            *row.key,
            row.op,
            *(row.related or (None, None)),
            _encode(row.fields).decode(),
            row.source,
            row.notification_id,
            at,
        )
        for row in rows
    ]
    append_rows(connection, changes, _CHANGE_COLUMNS, values)
