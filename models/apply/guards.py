"""
Guard rows: made where they are missing, and locked, so that two batches never decide on one object at a time.

An object that is only named at the other end of a link is not locked if it lives: half of all contacts may have the
same tag. Instead a batch that could bury one comes in alone, among those of its workspaces.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Row

from models.apply.batch import REFERENCED, UNSEEN, ObjectKey, named_by
from models.db.bulk import insert_missing, insert_new, select_by_keys
from models.rule.observations import LINKS, Report, Version
from models.rule.state import ObjectState, Registers, decode_registers, encode_registers, has_content
from models.tables.internal_tables import object_states

_KEY = ("workspace_id", "object_type", "object_id")
_ROW = (*_KEY, "gone", "dirty", "clean", "registers")
# Stands for the state of an object that has a row and is only named; it is never written.
_EXISTS = ObjectState(Registers(version=Version(0, 0, 0, 0, "")))
# What the numbers of our locks on workspaces are made from, so that nobody else's are the same by habit.
_SEED = 7_263_541_908
_Row = Row[*tuple[Any, ...]]


class Guards(NamedTuple):
    """`states` of all objects that reports touch or name; `written`: what the rows hold that were made with more."""

    states: dict[ObjectKey, ObjectState]
    written: dict[ObjectKey, ObjectState]


def guards(connection: Connection, reports: Sequence[Report], foreseen: Mapping[ObjectKey, ObjectState]) -> Guards:
    """
    Make and lock the guard rows of all that the reports touch.

    Args:
        connection: within the caller's transaction.
        reports: what is to be applied.
        foreseen: what most objects will be after this, if nothing is known of them; empty if that is not likely.
    """
    observed, named = _observed(reports), _named(reports)
    _come_in(connection, reports, names=bool(named))
    # Nothing is locked yet. Of those that are not foreseen it is also seen which are missing.
    found = _rows(connection, named if foreseen else observed | named)
    alive = {key for key in named & found.keys() if _lives(found[key])}
    keys = observed | (named - alive)
    if foreseen:
        states, written = _made(connection, keys, foreseen)
    else:
        states, written = _locked_or_made(connection, keys, keys - found.keys()), {}
    return Guards(dict.fromkeys(alive, _EXISTS) | states, written)


def create_missing_guards(connection: Connection, reports: Sequence[Report]) -> None:
    """
    Make the guard rows of what the reports only name, and what nothing is known of yet, in a transaction of its own.

    Of many pages that are written side by side most name the same companies. Whoever makes a guard row has the others
    wait until it commits, so it is better made in a short transaction than in one that writes pages.
    """
    named = _named(reports)
    missing = named.difference(ObjectKey(*row) for row in select_by_keys(connection, object_states, _KEY, _KEY, named))
    insert_new(connection, object_states, _ROW, [(*key, *_guard(REFERENCED)) for key in sorted(missing)])


def _observed(reports: Iterable[Report]) -> set[ObjectKey]:
    return {ObjectKey(report.workspace_id, seen.type, seen.id) for report in reports for seen in report.observations}


def _named(reports: Sequence[Report]) -> set[ObjectKey]:
    """Also the other end of a link that goes: its tombstone may be written at this moment."""
    named: set[ObjectKey] = set()
    for report in reports:
        for seen in report.observations:
            named.update(key for key, _ in named_by(report.workspace_id, seen))
            for kind, pair in seen.pairs.items():
                named.add(ObjectKey(report.workspace_id, LINKS[kind][1], pair.other_id))
    return named - _observed(reports)


def _come_in(connection: Connection, reports: Sequence[Report], *, names: bool) -> None:
    """
    Wait until no batch of these workspaces can bury what ours names, or, to bury some, until none of them names any.

    Links lead to companies, tags and segments. A contact has links of its own only, which its guard row protects.
    """
    buries = any(
        seen.deleted_at_ms is not None and seen.type != "contact" for report in reports for seen in report.observations
    )
    if connection.dialect.name != "postgresql" or not (names or buries):
        return
    workspaces = msgspec.json.encode(sorted({report.workspace_id for report in reports})).decode()
    lock = "pg_advisory_xact_lock" if buries else "pg_advisory_xact_lock_shared"
    # In the order of their numbers, so that nobody waits in a circle.
    connection.exec_driver_sql(
        f"SELECT {lock}(number) FROM (SELECT DISTINCT hashtextextended(value, {_SEED}) AS number"  # noqa: S608 -- our words
        " FROM json_array_elements_text(%s::json) ORDER BY number) AS workspaces",
        (workspaces,),
    )


def _rows(connection: Connection, keys: set[ObjectKey], *, lock: bool = False) -> dict[ObjectKey, _Row]:
    rows = select_by_keys(connection, object_states, _ROW, _KEY, keys, lock=lock) if keys else ()
    return {ObjectKey(row[0], row[1], row[2]): row for row in rows}


def _lives(row: _Row) -> bool:
    """Whether it has a row, or will be fetched anyway, so that to name it changes nothing."""
    _, _, _, gone, dirty, clean, registers = row
    return not gone and (dirty > clean or has_content(registers))


def _made(
    connection: Connection, keys: set[ObjectKey], foreseen: Mapping[ObjectKey, ObjectState]
) -> tuple[dict[ObjectKey, ObjectState], dict[ObjectKey, ObjectState]]:
    """
    Make what is missing, with what was foreseen of it, and lock the rest.

    Who waits for a row that we made holds only rows that it made itself, and these come before it in key order; who
    waits for a lock of ours has all its rows already. So nobody waits in a circle.
    """
    rows = [(*key, *_guard(foreseen.get(key, UNSEEN))) for key in sorted(keys)]
    new = {ObjectKey(*key) for key in insert_missing(connection, object_states, _ROW, _KEY, rows)}
    states = _states(_rows(connection, keys - new, lock=True))
    return states | dict.fromkeys(new, UNSEEN), {key: foreseen.get(key, UNSEEN) for key in new}


def _locked_or_made(
    connection: Connection, keys: set[ObjectKey], missing: set[ObjectKey]
) -> dict[ObjectKey, ObjectState]:
    # Nothing may be held while rows are made: somebody who made one of them first, and waits for what we hold, would
    # never commit. After that all are locked in key order, and nobody waits in a circle.
    insert_new(connection, object_states, _ROW, [(*key, *_guard(UNSEEN)) for key in sorted(missing)])
    return _states(_rows(connection, keys, lock=True))


def _states(rows: Mapping[ObjectKey, _Row]) -> dict[ObjectKey, ObjectState]:
    return {key: ObjectState(decode_registers(row[6]), row[4], row[5]) for key, row in rows.items()}


def _guard(state: ObjectState) -> tuple[Any, ...]:
    return state.registers.gone, state.dirty, state.clean, encode_registers(state.registers)
