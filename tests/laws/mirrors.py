"""
The mirror under test, from notifications to tables: in SQL, and in memory for thousands of cases.

Both use the product's own code to parse notifications and to decide; the one in memory only leaves out SQL.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple, NoReturn, Protocol

from sqlalchemy import Connection, Engine, Select, Table, bindparam, select, text

from intercom_api.wire.envelope import parse
from models.apply import apply
from models.apply.decide_batch import BatchOutcome, decide_batch
from models.apply.guards import UNSEEN
from models.apply.keys import ObjectKey, observed_keys, referenced_keys
from models.apply.load import LoadedBatch
from models.db.engine import transaction
from models.rule.observations import LINKS, Report
from models.rule.state import ObjectState, Registers, decode_registers
from models.tables.internal_tables import contact_merges, link_states, notifications, object_states
from models.tables.public_tables import ENTITIES, LINK_TABLES, changes
from workers.facts.from_fetch import Fetch, report_from_fetch
from workers.facts.from_notification import report_from_notification
from workers.refetch.dirty_objects import refetch_dirty

# The type and the id of an object.
Key = tuple[str, str]

NOW = datetime(2026, 1, 10, 5, tzinfo=UTC)


class CrashError(Exception):
    """Stands for a crash of the process before its commit."""


class Row(NamedTuple):
    """A row: its `raw` object, whether each list is `complete`, and all `columns` (empty in memory)."""

    raw: dict[str, Any]
    version: int
    archived: bool
    complete: dict[str, bool]
    columns: dict[str, Any]


@dataclass(frozen=True)
class Snapshot:
    """Everything that the mirror stores of one workspace. `facts`: the registers of every object's guard row."""

    rows: dict[Key, Row]
    links: frozenset[tuple[str, str, str]]
    merges: dict[str, str]
    redirects: dict[str, str]
    dirty: frozenset[Key]
    facts: dict[Key, tuple[object, ...]]

    def members(self, kind: str, owner: str) -> set[str]:
        return {other for link_kind, link_owner, other in self.links if (link_kind, link_owner) == (kind, owner)}

    def tables(self) -> tuple[object, ...]:
        """Return what must be the same however the notifications arrived: everything but the dirty counters."""
        rows = {key: row._replace(columns={}) for key, row in self.rows.items()}
        # An object that was only referenced has a guard row in SQL without any facts.
        facts = {key: fact for key, fact in self.facts.items() if any(fact)}
        return rows, self.links, self.merges, self.redirects, facts


class Mirror(Protocol):
    def deliver(self, bodies: Sequence[bytes], *, crashes: bool = False) -> list[str]: ...

    def refetch(self, fetch: Fetch, now: datetime) -> int: ...

    def snapshot(self) -> Snapshot: ...


def stored_facts(registers: Registers) -> tuple[object, ...]:
    """Return all facts of a guard row but `missed_second`, which only serves as a reason to refetch."""
    alive = (registers.version, registers.key_versions) if not registers.gone else None
    return (
        alive,
        registers.deleted_at_ms,
        registers.confirmed_at_ms,
        registers.merged,
        registers.archived,
        registers.lists,
    )


def read(bodies: Sequence[bytes]) -> list[Report]:
    """Parse bodies as the drain does."""
    reports = [report_from_notification(parse(body), entry="1-0", received_at=1_768_017_600_000) for body in bodies]
    return [report for report in reports if report is not None]


class MemoryMirror:
    """The apply rule without a database."""

    def __init__(self, workspace_id: str = "w") -> None:
        self.workspace_id = workspace_id
        self.states: dict[ObjectKey, ObjectState] = {}
        self.notification_ids: frozenset[tuple[str, str]] = frozenset()

    def deliver(self, bodies: Sequence[bytes], *, crashes: bool = False) -> list[str]:
        outcome = self._decide(read(bodies))
        if not crashes:
            self._remember(outcome)
        return list(outcome.results)

    def refetch(self, fetch: Fetch, now: datetime) -> int:  # noqa: ARG002 -- nothing is postponed in memory
        dirty = [(key, state.dirty) for key, state in self.states.items() if state.is_dirty]
        reports = [
            report_from_fetch(key.workspace_id, key.object_type, key.object_id, fetch(*key), counter)
            for key, counter in dirty
        ]
        self._remember(self._decide(reports))
        return len(dirty)

    def _decide(self, reports: Sequence[Report]) -> BatchOutcome:
        keys = observed_keys(reports) | referenced_keys(reports)
        states = {key: self.states.get(key, UNSEEN) for key in keys}
        return decide_batch(LoadedBatch(states, self.notification_ids), reports)

    def _remember(self, outcome: BatchOutcome) -> None:
        self.states |= outcome.states
        self.notification_ids |= {(row.subject.workspace_id, row.notification.id) for row in outcome.ledger}

    def snapshot(self) -> Snapshot:
        states = {(key.object_type, key.object_id): state for key, state in self.states.items()}
        gone = {key for key, state in states.items() if state.registers.gone}
        merges = {key[1]: state.registers.merged.into_id for key, state in states.items() if state.registers.merged}
        links = {
            (kind, key[1], other)
            for key, state in states.items()
            for (kind, other), link in state.links.items()
            if link.present and key not in gone and (LINKS[kind][1], other) not in gone
        }
        rows = {key: _row(key[0], state) for key, state in states.items() if state.content is not None}
        return Snapshot(
            rows=rows,
            links=frozenset(links),
            merges=merges,
            redirects={source: _end(merges, source) for source in merges},
            dirty=frozenset(key for key, state in states.items() if state.is_dirty),
            facts={key: stored_facts(state.registers) for key, state in states.items()},
        )


def _row(object_type: str, state: ObjectState) -> Row:
    assert state.content is not None
    assert state.registers.version is not None
    complete = {
        kind: kind in state.registers.lists and state.registers.lists[kind].is_complete
        for kind in ENTITIES[object_type].embedded.values()
    }
    return Row(state.content, state.registers.version.second, state.registers.is_archived, complete, {})


def _end(merges: dict[str, str], source: str) -> str:
    while source in merges:
        source = merges[source]
    return source


class SqlMirror:
    """The product's tables, for one workspace of a database."""

    def __init__(self, engine: Engine, workspace_id: str) -> None:
        self.engine = engine
        self.workspace_id = workspace_id

    def deliver(self, bodies: Sequence[bytes], *, crashes: bool = False) -> list[str]:
        with suppress(CrashError), transaction(self.engine) as connection:
            outcomes = apply(connection, read(bodies), NOW)
            if crashes:
                _crash()
            return outcomes
        return []

    def refetch(self, fetch: Fetch, now: datetime) -> int:
        return refetch_dirty(self.engine, fetch, now)

    def snapshot(self) -> Snapshot:
        with self.engine.connect() as connection:
            return _snapshot(connection, self.workspace_id)

    def delete_rows(self) -> None:
        """Delete every row of the workspace, so that refetches of other workspaces do not find them."""
        tables = [entity.table for entity in ENTITIES.values()] + list(LINK_TABLES.values())
        with transaction(self.engine) as connection:
            for table in (*tables, object_states, link_states, notifications, contact_merges, changes):
                connection.execute(table.delete().where(table.c.workspace_id == self.workspace_id))


def _crash() -> NoReturn:
    raise CrashError


def _of_workspace(table: Table) -> Select[Any]:
    return select(table).where(table.c.workspace_id == bindparam("workspace"))


_ROWS = {name: _of_workspace(entity.table) for name, entity in ENTITIES.items()}
_LINK_ROWS = {name: _of_workspace(table) for name, table in LINK_TABLES.items()}
_STATES = _of_workspace(object_states)
_MERGES = _of_workspace(contact_merges)
_REDIRECTS = text("SELECT from_id, into_id FROM contact_redirects WHERE workspace_id = :workspace")


def _snapshot(connection: Connection, workspace_id: str) -> Snapshot:
    here = {"workspace": workspace_id}
    guards = {(row.object_type, row.object_id): row for row in connection.execute(_STATES, here)}
    return Snapshot(
        rows=dict(_rows(connection, here)),
        links=frozenset(
            (kind, row[1], row[2]) for kind, query in _LINK_ROWS.items() for row in connection.execute(query, here)
        ),
        merges={row.from_id: row.into_id for row in connection.execute(_MERGES, here)},
        redirects={row.from_id: row.into_id for row in connection.execute(_REDIRECTS, here)},
        dirty=frozenset(key for key, row in guards.items() if row.dirty > row.clean),
        facts={key: stored_facts(decode_registers(row.registers)) for key, row in guards.items()},
    )


def _rows(connection: Connection, here: dict[str, str]) -> Iterator[tuple[Key, Row]]:
    for object_type, query in _ROWS.items():
        for row in connection.execute(query, here):
            columns = dict(row._mapping)
            for name in ("workspace_id", "_synced_at"):
                del columns[name]
            complete = {kind: columns[name] for name, kind in ENTITIES[object_type].embedded.items()}
            raw, version = columns["_raw"], columns["_version"]
            yield (object_type, columns["id"]), Row(raw, version, columns.get("archived", False), complete, columns)


@contextmanager
def temporary_workspace(engine: Engine, workspace_id: str) -> Iterator[SqlMirror]:
    """Return an empty workspace; if the block fails, delete its rows, which would disturb other cases."""
    mirror = SqlMirror(engine, workspace_id)
    try:
        yield mirror
    except BaseException:
        mirror.delete_rows()
        raise
