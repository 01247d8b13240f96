"""Writing a batch: each row once, however many reports touched it; the feed's lines last."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection

from models.apply.batch import Batch, ChangeRow, LinkKey, ObjectKey
from models.db.bulk import append_rows, delete_by_keys, insert_new, select_by_keys, upsert
from models.queries.change_feed import CHANNEL
from models.rule.observations import LINKS
from models.rule.state import ListState, ObjectState, encode_registers
from models.tables.column_types import moment_text, utc_text
from models.tables.columns import column_values
from models.tables.internal_tables import contact_merges, link_states, notifications, object_states, sync_marks
from models.tables.public_tables import ENTITIES, LINK_TABLES, Entity, changes

# Any number that no other user of the database is likely to lock; it guards the order of `changes.seq`.
_FEED_LOCK = 7_263_541_908_112_233

# A second, in milliseconds.
_SECOND = 1000

_encode = msgspec.json.Encoder().encode


def write(connection: Connection, batch: Batch, now: datetime) -> None:
    """Write everything that the batch decided; the caller commits."""
    changed = [key for key in sorted(batch.sources) if batch.states[key] is not batch.before[key]]
    stamp = moment_text(now)
    _write_states(connection, batch)
    for object_type, entity in ENTITIES.items():
        keys = [key for key in changed if key.object_type == object_type and _row_differs(batch, key)]
        rows = [_row(entity, key, batch, stamp) for key in keys if batch.states[key].content is not None]
        upsert(connection, entity.table, entity.columns, rows)
    _bury(connection, [key for key in changed if _went(batch, key)])
    _write_links(connection, batch)
    _tell_again(batch, _show_again(connection, [key for key in changed if _came_back(batch, key)]))
    _write_merges(connection, batch, changed)
    _write_ledger(connection, batch, now)
    _write_changes(connection, batch.changes, stamp)


def _write_states(connection: Connection, batch: Batch) -> None:
    columns = ("workspace_id", "object_type", "object_id", "gone", "dirty", "clean", "registers")
    differing = [key for key, state in batch.states.items() if _guard_differs(batch.guards[key], state)]
    rows = [
        (*key, state.registers.gone, state.dirty, state.clean, encode_registers(state.registers))
        for key, state in ((key, batch.states[key]) for key in sorted(differing))
    ]
    upsert(connection, object_states, columns, rows)


def _guard_differs(before: ObjectState, after: ObjectState) -> bool:
    if before is after:
        return False
    return (after.registers, after.dirty, after.clean) != (before.registers, before.dirty, before.clean)


def _row_differs(batch: Batch, key: ObjectKey) -> bool:
    before, after = batch.before[key], batch.states[key]
    return after.content is not before.content or after.registers != before.registers


def _row(entity: Entity, key: ObjectKey, batch: Batch, now: str) -> tuple[Any, ...]:
    state = batch.states[key]
    content, registers = state.content, state.registers
    assert content is not None and registers.version is not None  # noqa: S101, PT018 -- the caller looked
    has_custom_attributes = (
        [registers.is_archived, _encode(content.get("custom_attributes") or {}).decode()]
        if entity.has_custom_attributes
        else []
    )
    complete = [registers.lists.get(kind, ListState()).is_complete for kind in entity.embedded.values()]
    verified_at = None if registers.confirmed_at_ms is None else utc_text(registers.confirmed_at_ms // _SECOND)
    return (
        key.workspace_id,
        key.object_id,
        *column_values(entity.fields, content),
        *has_custom_attributes,
        *complete,
        _encode(content).decode(),
        batch.sources[key],
        registers.version.second,
        now,
        verified_at,
    )


def _went(batch: Batch, key: ObjectKey) -> bool:
    return batch.states[key].registers.gone and not batch.before[key].registers.gone


def _came_back(batch: Batch, key: ObjectKey) -> bool:
    return batch.before[key].registers.gone and not batch.states[key].registers.gone


def _bury(connection: Connection, keys: list[ObjectKey]) -> None:
    """Take a gone object and all its links out of what the application reads."""
    for object_type, entity in ENTITIES.items():
        gone = [(key.workspace_id, key.object_id) for key in keys if key.object_type == object_type]
        delete_by_keys(connection, entity.table, ("workspace_id", "id"), gone)
        for kind, ends in LINKS.items():
            if object_type in ends:
                delete_by_keys(connection, LINK_TABLES[kind], ("workspace_id", f"{object_type}_id"), gone)


def _write_links(connection: Connection, batch: Batch) -> None:
    columns = ("workspace_id", "kind", "owner_id", "other_id")
    held, forgotten = [], []
    # By whether they are shown: in the link tables' form, by kind.
    shown: dict[bool, dict[str, list[tuple[str, str, str]]]] = {True: {}, False: {}}
    for key in sorted(batch.links):
        owner = batch.states[ObjectKey(key.workspace_id, LINKS[key.kind][0], key.owner_id)]
        link = owner.links.get((key.kind, key.other_id))
        if link is None:
            forgotten.append(key)
        else:
            held.append((*key, link.present, _encode(link.stamp).decode()))
        visible = link is not None and link.present and not owner.registers.gone and _other_lives(batch, key)
        shown[visible].setdefault(key.kind, []).append((key.workspace_id, key.owner_id, key.other_id))
    upsert(connection, link_states, (*columns, "present", "stamp"), held)
    delete_by_keys(connection, link_states, columns, forgotten)
    for kind, (owner_type, other_type) in LINKS.items():
        ends = ("workspace_id", f"{owner_type}_id", f"{other_type}_id")
        insert_new(connection, LINK_TABLES[kind], ends, shown[True].get(kind, ()))
        delete_by_keys(connection, LINK_TABLES[kind], ends, shown[False].get(kind, ()))


def _other_lives(batch: Batch, key: LinkKey) -> bool:
    other = batch.states.get(ObjectKey(key.workspace_id, LINKS[key.kind][1], key.other_id))
    return other is None or not other.registers.gone


def _show_again(connection: Connection, keys: list[ObjectKey]) -> list[LinkKey]:
    """Put back the remembered links of objects that a GET found alive after all; return them."""
    shown: list[LinkKey] = []
    for kind, (owner, other) in LINKS.items():
        for end, column in ((owner, "owner_id"), (other, "other_id")):
            wanted = [(key.workspace_id, kind, key.object_id) for key in keys if key.object_type == end]
            if wanted:
                by = ("workspace_id", "kind", column)
                rows = select_by_keys(
                    connection, link_states, ("workspace_id", "owner_id", "other_id", "present"), by, wanted
                )
                shown += _show(connection, kind, [(row[0], row[1], row[2]) for row in rows if row[3]])
    return shown


def _show(connection: Connection, kind: str, links: list[tuple[str, str, str]]) -> list[LinkKey]:
    """Show those links whose two ends both live; the far ends are locked as the near ones are."""
    owner, other = LINKS[kind]
    ends = {(link[0], owner, link[1]) for link in links} | {(link[0], other, link[2]) for link in links}
    by = ("workspace_id", "object_type", "object_id")
    rows = select_by_keys(connection, object_states, (*by, "gone"), by, ends, lock=True)
    gone = {(row[0], row[1], row[2]) for row in rows if row[3]}
    alive = [link for link in links if not {(link[0], owner, link[1]), (link[0], other, link[2])} & gone]
    present = _still_present(connection, kind, alive)
    insert_new(connection, LINK_TABLES[kind], ("workspace_id", f"{owner}_id", f"{other}_id"), present)
    return [LinkKey(link[0], kind, link[1], link[2]) for link in present]


def _still_present(connection: Connection, kind: str, links: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Read again what was read before the ends were locked: somebody may have taken a link away meanwhile."""
    by = ("workspace_id", "kind", "owner_id", "other_id")
    keys = [(link[0], kind, link[1], link[2]) for link in links]
    rows = select_by_keys(connection, link_states, (*by, "present"), by, keys)
    return sorted((row[0], row[2], row[3]) for row in rows if row[4])


def _tell_again(batch: Batch, links: list[LinkKey]) -> None:
    """A reader of the feed forgot the links of what was gone, so it hears of them again."""
    told = {(line.key, line.related) for line in batch.changes if line.op == "linked"}
    for link in dict.fromkeys(links):
        owner, other = LINKS[link.kind]
        key, related = ObjectKey(link.workspace_id, owner, link.owner_id), (other, link.other_id)
        if (key, related) not in told:
            batch.changes.append(ChangeRow(key, "linked", related, (), "refetch", None))


def _write_merges(connection: Connection, batch: Batch, changed: Iterable[ObjectKey]) -> None:
    edges = [
        (key.workspace_id, key.object_id, merged.into_id, utc_text(merged.merged_at))
        for key in changed
        if (merged := batch.states[key].registers.merged) and merged != batch.before[key].registers.merged
    ]
    upsert(connection, contact_merges, ("workspace_id", "from_id", "into_id", "merged_at"), edges)


def _write_ledger(connection: Connection, batch: Batch, now: datetime) -> None:
    stamp = moment_text(now)
    rows, marks = [], {}
    for workspace_id, meta, subject, outcome in batch.ledger:
        received_at = utc_text(meta.received_at // _SECOND)
        rows.append(
            (
                workspace_id,
                meta.id,
                meta.topic,
                subject.type,
                subject.id,
                utc_text(meta.created_at),
                received_at,
                stamp,
                outcome,
                meta.entry,
            )
        )
        marks[workspace_id, subject.type] = now.timestamp() - meta.received_at / _SECOND
    columns = tuple(column.name for column in notifications.columns)
    insert_new(connection, notifications, columns, rows)
    upsert(
        connection,
        sync_marks,
        ("workspace_id", "object_type", "last_notification_at", "lag_seconds"),
        [(*key, stamp, lag) for key, lag in sorted(marks.items())],
    )


def _write_changes(connection: Connection, lines: list[ChangeRow], now: str) -> None:
    """
    Append to the feed.

    Numbers are drawn under a lock that is held until the commit, so that they become visible in order: a reader that
    remembers the last `seq` never misses a line.
    """
    if lines and connection.dialect.name == "postgresql":
        # In one round trip: who waits for lines is told by the commit that shows them.
        connection.exec_driver_sql("SELECT pg_advisory_xact_lock(%s), pg_notify(%s, '')", (_FEED_LOCK, CHANNEL))
    rows = [
        (
            *line.key,
            line.op,
            *(line.related or (None, None)),
            _encode(line.fields).decode(),
            line.source,
            line.notification_id,
            now,
        )
        for line in lines
    ]
    append_rows(connection, changes, tuple(column.name for column in changes.columns if column.name != "seq"), rows)
