"""Reading what a batch needs: guard rows (locked), contents, links, and which notifications were seen before."""

from collections.abc import Iterable, Sequence

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from models.apply.batch import UNSEEN, Batch, ObjectKey
from models.apply.guards import guards
from models.db.bulk import select_by_keys
from models.rule import Decision, decide
from models.rule.observations import Observation, Report, Stamp
from models.rule.state import LinkState, ObjectState, Registers
from models.tables.internal_tables import link_states, notifications
from models.tables.public_tables import ENTITIES

_NOTHING = Registers()

_decode_stamp = msgspec.json.Decoder(Stamp).decode


def load(connection: Connection, reports: Sequence[Report]) -> Batch:
    """Make and lock the guard rows of every object that the reports touch, then read the rest."""
    foreseen = _foreseen(reports) if _fills(reports) else {}
    states, written = guards(connection, reports, {key: decision.state for key, decision in foreseen.items()})
    _add_contents(
        connection,
        states,
        {
            ObjectKey(report.workspace_id, seen.type, seen.id)
            for report in reports
            for seen in report.observations
            if not seen.only_links
        },
    )
    _add_links(connection, states, reports)
    return Batch(states, _seen(connection, reports), foreseen, written)


def _fills(reports: Iterable[Report]) -> bool:
    return any(report.source == "backfill" and report.observations[0].content is not None for report in reports)


def _foreseen(reports: Iterable[Report]) -> dict[ObjectKey, Decision]:
    """Decide on objects as if nothing had been heard of them before, which holds for most of a fill."""
    observations: dict[ObjectKey, list[Observation]] = {}
    for report in reports:
        for seen in report.observations:
            observations.setdefault(ObjectKey(report.workspace_id, seen.type, seen.id), []).append(seen)
    return {key: decide(UNSEEN, each[0]) for key, each in observations.items() if len(each) == 1}


def _add_contents(connection: Connection, states: dict[ObjectKey, ObjectState], observed: set[ObjectKey]) -> None:
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
        for row in select_by_keys(connection, entity.table, ("workspace_id", "id", raw), ("workspace_id", "id"), keys):
            key = ObjectKey(row[0], object_type, row[1])
            states[key] = replace(states[key], content=msgspec.json.decode(row[2]))


def _add_links(connection: Connection, states: dict[ObjectKey, ObjectState], reports: Sequence[Report]) -> None:
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
    by_owner: dict[ObjectKey, dict[tuple[str, str], LinkState]] = {}
    for row in select_by_keys(connection, link_states, columns, columns[:3], owners):
        links = by_owner.setdefault(owners[row[0], row[1], row[2]], {})
        links[row[1], row[3]] = LinkState(_decode_stamp(row[5]), bool(row[4]))
    for key, links in by_owner.items():
        states[key] = replace(states[key], links=links)


def _never_observed(state: ObjectState) -> bool:
    """Tell whether no observation ever was of this object, as each leaves a trace here: so nothing hangs on it."""
    return not state.dirty and state.registers == _NOTHING


def _seen(connection: Connection, reports: Sequence[Report]) -> set[tuple[str, str]]:
    ids = {(report.workspace_id, report.notification.id) for report in reports if report.notification}
    columns = ("workspace_id", "id")
    return (
        {(row[0], row[1]) for row in select_by_keys(connection, notifications, columns, columns, ids)} if ids else set()
    )
