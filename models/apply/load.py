"""Phase 1 of applying a batch: lock and read everything that the decisions need."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection

from models.apply.guards import GUARD_KEY, load_guards
from models.apply.keys import LinkKey, ObjectKey
from models.db.bulk import select_by_keys
from models.rule.observations import LINKS, Report, Stamp
from models.rule.state import LinkState, ObjectState, Registers
from models.tables.internal_tables import link_states, notifications, object_states
from models.tables.public_tables import ENTITIES

_EMPTY_REGISTERS = Registers()
_LINK_KEY = ("workspace_id", "kind", "owner_id", "other_id")

_decode_stamp = msgspec.json.Decoder(Stamp).decode


class RememberedLinks(NamedTuple):
    """
    The present links of tombstones that a report may revive.

    Args:
        links: every such link, whichever end the tombstone is.
        gone_ends: the ends of these links that are gone.
    """

    links: frozenset[LinkKey] = frozenset()
    gone_ends: frozenset[ObjectKey] = frozenset()


class LoadedBatch(NamedTuple):
    """
    What the decisions about a batch need.

    Args:
        states: the state of each object that the reports observe or reference.
        notification_ids: (workspace, notification id) of the batch's notifications that are in the ledger.
        remembered: the links to restore if their object is revived.
    """

    states: Mapping[ObjectKey, ObjectState]
    notification_ids: frozenset[tuple[str, str]]
    remembered: RememberedLinks = RememberedLinks()


def load(connection: Connection, reports: Sequence[Report]) -> LoadedBatch:
    """Create and lock the guard rows of every object that the reports touch, then read the rest."""
    states = load_guards(connection, reports)
    remembered = _load_remembered_links(connection, _revivable_keys(states, reports))
    _load_contents(connection, states, reports)
    _load_links(connection, states, reports)
    return LoadedBatch(states, _load_notification_ids(connection, reports), remembered)


def _revivable_keys(states: Mapping[ObjectKey, ObjectState], reports: Iterable[Report]) -> set[ObjectKey]:
    """Return the tombstones that a GET by id found alive later than their deletion."""
    keys = set()
    for report in reports:
        for observation in report.observations:
            confirmed_at_ms = observation.confirmed_at_ms
            if confirmed_at_ms is None:
                continue
            key = ObjectKey(report.workspace_id, observation.type, observation.id)
            registers = states[key].registers
            if registers.gone and registers.deleted_at_ms is not None and confirmed_at_ms > registers.deleted_at_ms:
                keys.add(key)
    return keys


def _load_remembered_links(connection: Connection, keys: set[ObjectKey]) -> RememberedLinks:
    """
    Read the present links of the given objects, and lock their ends.

    The links are read again once the ends are locked: until then another batch may have removed one.
    """
    links = _select_links_of(connection, keys)
    if not links:
        return RememberedLinks()
    ends = {end for link in links for end in (link.owner, link.other)}
    guards = select_by_keys(connection, object_states, (*GUARD_KEY, "gone"), GUARD_KEY, ends, lock=True)
    rows = select_by_keys(connection, link_states, (*_LINK_KEY, "present"), _LINK_KEY, links)
    return RememberedLinks(
        frozenset(LinkKey(row[0], row[1], row[2], row[3]) for row in rows if row[4]),
        frozenset(ObjectKey(row[0], row[1], row[2]) for row in guards if row[3]),
    )


def _select_links_of(connection: Connection, keys: set[ObjectKey]) -> set[LinkKey]:
    links = set()
    for end, column in enumerate(("owner_id", "other_id")):
        ends = [
            (key.workspace_id, kind, key.object_id)
            for key in keys
            for kind, types in LINKS.items()
            if types[end] == key.object_type
        ]
        if ends:
            by = ("workspace_id", "kind", column)
            rows = select_by_keys(connection, link_states, (*_LINK_KEY, "present"), by, ends)
            links |= {LinkKey(row[0], row[1], row[2], row[3]) for row in rows if row[4]}
    return links


def _load_contents(connection: Connection, states: dict[ObjectKey, ObjectState], reports: Iterable[Report]) -> None:
    """Read contents after the guards are locked: a row read by the locking statement could be older than its guard."""
    keys = {
        key
        for report in reports
        for observation in report.observations
        if not observation.only_links
        and states[key := ObjectKey(report.workspace_id, observation.type, observation.id)].registers.version
        is not None
    }
    raw = "_raw::text" if connection.dialect.name == "postgresql" else "_raw"
    for object_type, entity in ENTITIES.items():
        ids = [(key.workspace_id, key.object_id) for key in keys if key.object_type == object_type]
        if not ids:
            continue
        for row in select_by_keys(connection, entity.table, ("workspace_id", "id", raw), ("workspace_id", "id"), ids):
            key = ObjectKey(row[0], object_type, row[1])
            states[key] = replace(states[key], content=msgspec.json.decode(row[2]))


def _load_links(connection: Connection, states: dict[ObjectKey, ObjectState], reports: Iterable[Report]) -> None:
    """Read the links of the kinds that the reports observe."""
    owners = {
        (report.workspace_id, kind, observation.id): key
        for report in reports
        for observation in report.observations
        if _was_observed(states[key := ObjectKey(report.workspace_id, observation.type, observation.id)])
        for kind in (*observation.lists, *observation.pairs)
    }
    if not owners:
        return
    links_by_owner: dict[ObjectKey, dict[tuple[str, str], LinkState]] = {}
    for row in select_by_keys(connection, link_states, (*_LINK_KEY, "present", "stamp"), _LINK_KEY[:3], owners):
        links = links_by_owner.setdefault(owners[row[0], row[1], row[2]], {})
        links[row[1], row[3]] = LinkState(_decode_stamp(row[5]), bool(row[4]))
    for key, links in links_by_owner.items():
        states[key] = replace(states[key], links=links)


def _was_observed(state: ObjectState) -> bool:
    """Return whether there was any observation of the object: each leaves a trace here. Without one it has no links."""
    return bool(state.dirty) or state.registers != _EMPTY_REGISTERS


def _load_notification_ids(connection: Connection, reports: Iterable[Report]) -> frozenset[tuple[str, str]]:
    ids = {(report.workspace_id, report.notification.id) for report in reports if report.notification}
    columns = ("workspace_id", "id")
    rows = select_by_keys(connection, notifications, columns, columns, ids) if ids else ()
    return frozenset((row[0], row[1]) for row in rows)
