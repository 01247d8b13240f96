"""Reading what a batch needs: guard rows (locked), contents, links, and which notifications were seen before."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Row

from models.apply.batch import Batch, ObjectKey, named_by
from models.bulk import insert_new, rows_at
from models.mirror import ENTITIES
from models.observations import LINKS, Report, Stamp, Version
from models.private import link_states, notifications, object_states
from models.state import Link, Registers, State, decode_registers, encode_registers, has_content

_KEY = ("workspace_id", "object_type", "object_id")
_GUARD = (*_KEY, "dirty", "clean", "registers")
_NOTHING = Registers()
_BLANK = (False, 0, 0, encode_registers(_NOTHING))
# Stands for the state of an object that has a row and is only named; it is never written.
_EXISTS = State(Registers(version=Version(0, 0, 0, 0, "")))
_Rows = Sequence[Row[*tuple[Any, ...]]]

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
    states = _guards(connection, observed, named | _parted(reports), new=_fills(reports))
    _add_contents(connection, states, {
        ObjectKey(report.workspace_id, seen.type, seen.id)
        for report in reports for seen in report.observations if not seen.only_links
    })  # fmt: skip
    _add_links(connection, states, reports)
    return Batch(states, _seen(connection, reports))


def _fills(reports: Iterable[Report]) -> bool:
    return any(report.source == "backfill" and report.observations[0].content is not None for report in reports)


def _parted(reports: Iterable[Report]) -> set[ObjectKey]:
    return {
        ObjectKey(report.workspace_id, LINKS[kind][1], pair.other_id)
        for report in reports
        for seen in report.observations
        for kind, pair in seen.pairs.items()
    }


def _guards(connection: Connection, observed: set[ObjectKey], named: set[ObjectKey], *, new: bool
            ) -> dict[ObjectKey, State]:  # fmt: skip
    """Make and lock; `new`: most of them are not there yet, so that it is not worth looking first."""
    keys = observed | named
    rows, missing = ((), keys) if new else _lock_if_all_are_there(connection, keys)
    if missing:
        insert_new(connection, object_states, (*_KEY, "gone", "dirty", "clean", "registers"),
                   [(*key, *_BLANK) for key in sorted(missing)])  # fmt: skip
        rows = _locked(connection, keys)
    found = ((ObjectKey(row[0], row[1], row[2]), row) for row in rows)
    return {key: _state(row, observed=key in observed) for key, row in found}


def _lock_if_all_are_there(connection: Connection, keys: set[ObjectKey]) -> tuple[_Rows, set[ObjectKey]]:
    """Return the rows and which are missing; if any are, nothing is locked."""
    with connection.begin_nested() as held:
        rows = _locked(connection, keys)
        if len(rows) == len(keys):
            return rows, set()
        # Nothing may be held while rows are made: somebody who made one of them first, and waits for what we hold,
        # would never commit. After that all are locked in key order, and nobody waits in a circle.
        held.rollback()
    return (), keys.difference(ObjectKey(row[0], row[1], row[2]) for row in rows)


def _locked(connection: Connection, keys: Iterable[ObjectKey]) -> _Rows:
    return rows_at(connection, object_states, _GUARD, _KEY, keys, lock=True)


def _state(row: Row[*tuple[Any, ...]], *, observed: bool) -> State:
    dirty, clean, registers = row[3:]
    if not observed and has_content(registers):
        # Most rows of a fill are such: locked because a link names them, and all that counts is that they exist.
        return _EXISTS
    return State(decode_registers(registers), dirty, clean)


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
        (report.workspace_id, kind, seen.id): key
        for report in reports
        for seen in report.observations
        if not _never_observed(states[key := ObjectKey(report.workspace_id, seen.type, seen.id)])
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


def _never_observed(state: State) -> bool:
    """Tell whether no observation ever was of this object, as each leaves a trace here: so nothing hangs on it."""
    return not state.dirty and state.registers == _NOTHING


def _seen(connection: Connection, reports: Sequence[Report]) -> set[tuple[str, str]]:
    ids = {(report.workspace_id, report.notification.id) for report in reports if report.notification}
    columns = ("workspace_id", "id")
    return {(row[0], row[1]) for row in rows_at(connection, notifications, columns, columns, ids)} if ids else set()
