"""
Guard rows: create the missing ones and lock them, so that two batches never decide on one object at a time.

An object that is only referenced, at the other end of a link, is not locked while it exists: half of all contacts may
have the same tag. Instead a batch that may delete such an object has its workspaces to itself.
"""

from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Connection, Row

from models.apply.keys import ObjectKey, observed_keys, referenced_keys
from models.db.bulk import insert_new, select_by_keys
from models.rule.observations import Report, Version
from models.rule.state import ObjectState, Registers, decode_registers, encode_registers, has_content
from models.tables.internal_tables import object_states

GUARD_KEY = ("workspace_id", "object_type", "object_id")
GUARD_COLUMNS = (*GUARD_KEY, "gone", "dirty", "clean", "registers")

# The state of an object of which nothing is known yet; it has no guard row, or one without any fact.
UNSEEN = ObjectState()
# Stands in for the state of a referenced object that exists, which is neither locked nor read. It is never written.
_EXISTS = ObjectState(Registers(version=Version(0, 0, 0, 0, "")))

# Seed of the hash that makes advisory lock numbers from workspace ids; any number that other users of the database are
# unlikely to use.
_LOCK_SEED = 7_263_541_908

_GuardRow = Row[*tuple[Any, ...]]


def load_guards(connection: Connection, reports: Sequence[Report]) -> dict[ObjectKey, ObjectState]:
    """
    Create and lock the guard rows of the objects that the reports observe or reference.

    No row is locked while rows are created: another batch that created one of them first, and waits for a row that this
    batch holds, would never commit. After that all rows are locked in key order, so no two batches wait in a circle.

    Returns:
        The state of each object, without content and links. The state of a referenced object that exists is a
        placeholder.
    """
    observed = observed_keys(reports)
    referenced = referenced_keys(reports) - observed
    _lock_workspaces(connection, reports, has_references=bool(referenced))
    existing = _select_guards(connection, observed | referenced)
    unlocked = {key for key in referenced & existing.keys() if _exists(existing[key])}
    keys = observed | (referenced - unlocked)
    blank_rows = [(*key, *guard_values(UNSEEN)) for key in sorted(keys - existing.keys())]
    insert_new(connection, object_states, GUARD_COLUMNS, blank_rows)
    locked = _select_guards(connection, keys, lock=True)
    states = {key: ObjectState(decode_registers(row[6]), row[4], row[5]) for key, row in locked.items()}
    return dict.fromkeys(unlocked, _EXISTS) | states


def guard_values(state: ObjectState) -> tuple[Any, ...]:
    """Return the values of a guard row's columns after its key."""
    return state.registers.gone, state.dirty, state.clean, encode_registers(state.registers)


def _lock_workspaces(connection: Connection, reports: Sequence[Report], *, has_references: bool) -> None:
    """
    Keep a batch that may delete objects apart from batches that reference them, within each workspace.

    Links lead to companies, tags and segments, so only a deletion of these needs the exclusive lock; a contact owns its
    links, and its guard row protects them. SQLite has one writer at a time and needs no lock.
    """
    may_delete = any(
        observation.deleted_at_ms is not None and observation.type != "contact"
        for report in reports
        for observation in report.observations
    )
    if connection.dialect.name != "postgresql" or not (has_references or may_delete):
        return
    workspaces = msgspec.json.encode(sorted({report.workspace_id for report in reports})).decode()
    lock = "pg_advisory_xact_lock" if may_delete else "pg_advisory_xact_lock_shared"
    # In the order of their numbers, so that no two batches wait in a circle.
    connection.exec_driver_sql(
        f"SELECT {lock}(number) FROM (SELECT DISTINCT hashtextextended(value, {_LOCK_SEED}) AS number"  # noqa: S608 -- constants
        " FROM json_array_elements_text(%s::json) ORDER BY number) AS workspaces",
        (workspaces,),
    )


def _select_guards(connection: Connection, keys: set[ObjectKey], *, lock: bool = False) -> dict[ObjectKey, _GuardRow]:
    rows = select_by_keys(connection, object_states, GUARD_COLUMNS, GUARD_KEY, keys, lock=lock) if keys else ()
    return {ObjectKey(row[0], row[1], row[2]): row for row in rows}


def _exists(row: _GuardRow) -> bool:
    """Return whether the object has a row or will be fetched in any case, so that a reference to it changes nothing."""
    _, _, _, gone, dirty, clean, registers = row
    return not gone and (dirty > clean or has_content(registers))
