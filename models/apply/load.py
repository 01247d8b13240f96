"""Reading what a batch needs: guard rows (locked), contents, links, and which notifications were seen before."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from models.apply.batch import Batch, ObjectKey, named_by
from models.bulk import insert_new, rows_at
from models.mirror import ENTITIES
from models.observations import LINKS, Report, Stamp
from models.private import link_states, notifications, object_states
from models.state import Link, Registers, State, decode_registers, encode_registers

_KEY = ("workspace_id", "object_type", "object_id")
_GUARD = (*_KEY, "dirty", "clean", "registers")
_BLANK = (False, 0, 0, encode_registers(Registers()))
_decode_stamp = msgspec.json.Decoder(Stamp).decode


def load(connection: Connection, reports: Sequence[Report]) -> Batch:
    """Make and lock the guard rows of every object that the reports touch, then read the rest."""
    observed = {
        ObjectKey(report.workspace_id, seen.type, seen.id) for report in reports for seen in report.observations
    }
    named = {
        key for report in reports for seen in report.observations for key, _ in named_by(report.workspace_id, seen)
    }
    # The other end of a link that goes is locked too: its tombstone may be written at this moment.
    states = _guards(connection, observed | named | _parted(reports))
    _add_contents(connection, states, {
        ObjectKey(report.workspace_id, seen.type, seen.id)
        for report in reports for seen in report.observations if not seen.only_links
    })  # fmt: skip
    _add_links(connection, states, reports)
    return Batch(states, _seen(connection, reports))


def _parted(reports: Iterable[Report]) -> set[ObjectKey]:
    return {
        ObjectKey(report.workspace_id, LINKS[kind][1], pair.other_id)
        for report in reports
        for seen in report.observations
        for kind, pair in seen.pairs.items()
    }


def _guards(connection: Connection, keys: set[ObjectKey]) -> dict[ObjectKey, State]:
    with connection.begin_nested() as held:
        states = _locked(connection, keys)
        missing = sorted(keys - states.keys())
        if missing:
            # Nothing may be held while rows are made: somebody who made one of them first, and waits for what we hold,
            # would never commit. After that all are locked in key order, and nobody waits in a circle.
            held.rollback()
    if not missing:
        return states
    insert_new(connection, object_states, (*_KEY, "gone", "dirty", "clean", "registers"),
               [(*key, *_BLANK) for key in missing])  # fmt: skip
    return _locked(connection, keys)


def _locked(connection: Connection, keys: Iterable[ObjectKey]) -> dict[ObjectKey, State]:
    rows = rows_at(connection, object_states, _GUARD, _KEY, keys, lock=True)
    return {ObjectKey(row[0], row[1], row[2]): State(decode_registers(row[5]), row[3], row[4]) for row in rows}


def _add_contents(connection: Connection, states: dict[ObjectKey, State], observed: set[ObjectKey]) -> None:
    """Read after the locks are held: a row read in the locking statement could be older than its guard."""
    for object_type, entity in ENTITIES.items():
        keys = [
            (key.workspace_id, key.object_id)
            for key in observed
            if key.object_type == object_type and states[key].registers.version is not None
        ]
        if not keys:
            continue
        raw = "_raw::text" if connection.dialect.name == "postgresql" else "_raw"
        for row in rows_at(connection, entity.table, ("workspace_id", "id", raw), ("workspace_id", "id"), keys):
            key = ObjectKey(row[0], object_type, row[1])
            states[key] = replace(states[key], content=msgspec.json.decode(row[2]))


def _add_links(connection: Connection, states: dict[ObjectKey, State], reports: Sequence[Report]) -> None:
    owners = {
        (report.workspace_id, kind, seen.id): ObjectKey(report.workspace_id, seen.type, seen.id)
        for report in reports
        for seen in report.observations
        for kind in (*seen.lists, *seen.pairs)
    }
    if not owners:
        return
    columns = ("workspace_id", "kind", "owner_id", "other_id", "present", "stamp")
    by_owner: dict[ObjectKey, dict[tuple[str, str], Link]] = {}
    for row in rows_at(connection, link_states, columns, columns[:3], owners):
        links = by_owner.setdefault(owners[row[0], row[1], row[2]], {})
        links[row[1], row[3]] = Link(_decode_stamp(row[5]), bool(row[4]))
    for key, links in by_owner.items():
        states[key] = replace(states[key], links=links)


def _seen(connection: Connection, reports: Sequence[Report]) -> set[tuple[str, str]]:
    ids = {(report.workspace_id, report.notification.id) for report in reports if report.notification}
    columns = ("workspace_id", "id")
    return {(row[0], row[1]) for row in rows_at(connection, notifications, columns, columns, ids)} if ids else set()
