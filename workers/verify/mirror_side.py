"""Reading both what the tables show of objects and what the mirror remembers of them, some at a time."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Boolean, Connection, Engine, Table, select

from models.db.bulk import select_by_keys
from models.rule.observations import LINKS
from models.rule.state import Registers, decode_registers
from models.tables.column_types import Json, datetime_text
from models.tables.internal_tables import contact_merges, object_states
from models.tables.public_tables import ENTITIES, LINK_TABLES
from workers.verify.compare import MirrorObject, owned

# Ids read in one statement while a whole table is gone through: a few hundred kilobytes.
_STRIDE = 5_000

# Merges that are followed one after the other; Intercom itself follows three.
_HOPS = 100


def read(engine: Engine, workspace_id: str, object_type: str, ids: Iterable[str]) -> dict[str, MirrorObject]:
    """Return what is held of each of these objects, also of those of which nothing is."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    with engine.connect() as connection:
        rows = _rows(connection, workspace_id, object_type, wanted)
        guards = _guards(connection, workspace_id, object_type, wanted)
        links = _links(connection, workspace_id, object_type, wanted)
        ends = _ends(connection, workspace_id, wanted) if object_type == "contact" else {}
    unknown = (Registers(), False)
    return {
        each: MirrorObject(rows.get(each), links.get(each, {}), ends.get(each), *guards.get(each, unknown))
        for each in wanted
    }


def ids_of(engine: Engine, workspace_id: str, object_type: str) -> Iterator[list[str]]:
    """Go through the ids of all rows of a type, and of all owners of links; in pieces, some ids more than once."""
    tables = [(ENTITIES[object_type].table, "id")]
    tables += [(LINK_TABLES[kind], f"{object_type}_id") for kind in owned(object_type)]
    for table, column in tables:
        yield from _strides(engine, workspace_id, table, column)


def merged_ids(engine: Engine, workspace_id: str) -> Iterator[list[str]]:
    """Go through the ids of all contacts that are known to have been merged."""
    return _strides(engine, workspace_id, contact_merges, "from_id")


def _strides(engine: Engine, workspace_id: str, table: Table, column: str) -> Iterator[list[str]]:
    """Each piece is a statement of its own, so that no snapshot is held while Intercom is asked."""
    last = ""
    by = table.c[column]
    while True:
        query = select(by).distinct().where(table.c.workspace_id == workspace_id, by > last).order_by(by).limit(_STRIDE)
        with engine.connect() as connection:
            found = [str(value) for value in connection.execute(query).scalars()]
        if not found:
            return
        yield found
        last = found[-1]


def _rows(connection: Connection, workspace_id: str, object_type: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    entity = ENTITIES[object_type]
    # As text: PostgreSQL's JSON is then read by the same code as everywhere else.
    json = "::text" if connection.dialect.name == "postgresql" else ""
    columns = [f"{c.name}{json}" if c.type is Json else c.name for c in entity.table.columns]
    keys = [(workspace_id, each) for each in ids]
    found = select_by_keys(connection, entity.table, columns, ("workspace_id", "id"), keys)
    plain = [_plain(entity.table, row) for row in found]
    return {str(row["id"]): row for row in plain}


def _plain(table: Table, row: Sequence[Any]) -> dict[str, Any]:
    """Bring what the two drivers return for a row to one form; a value that has no business there stays as it is."""
    result: dict[str, Any] = {}
    for column, value in zip(table.columns, row, strict=True):
        if isinstance(value, datetime):
            result[column.name] = datetime_text(value)
        elif column.type is Json:
            result[column.name] = _json(value)
        elif isinstance(column.type, Boolean) and value in (0, 1):
            result[column.name] = bool(value)
        else:
            result[column.name] = value
    return result


def _json(value: Any) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, TypeError):
        return None


def _guards(
    connection: Connection, workspace_id: str, object_type: str, ids: Sequence[str]
) -> dict[str, tuple[Registers, bool]]:
    keys = [(workspace_id, object_type, each) for each in ids]
    columns = ("object_id", "registers", "dirty", "clean")
    rows = select_by_keys(connection, object_states, columns, ("workspace_id", "object_type", "object_id"), keys)
    return {row[0]: (decode_registers(row[1]), row[2] > row[3]) for row in rows}


def _links(
    connection: Connection, workspace_id: str, object_type: str, ids: Sequence[str]
) -> dict[str, dict[str, frozenset[str]]]:
    keys = [(workspace_id, each) for each in ids]
    found: dict[str, dict[str, set[str]]] = {}
    for kind in owned(object_type):
        owner, other = (f"{end}_id" for end in LINKS[kind])
        for row in select_by_keys(connection, LINK_TABLES[kind], (owner, other), ("workspace_id", owner), keys):
            found.setdefault(row[0], {}).setdefault(kind, set()).add(row[1])
    return {each: {kind: frozenset(others) for kind, others in kinds.items()} for each, kinds in found.items()}


def _ends(connection: Connection, workspace_id: str, ids: Sequence[str]) -> dict[str, str]:
    """Return where the chains of merges end, as contact_redirects says; only for those that were merged."""
    ends: dict[str, str] = {each: each for each in ids}
    open_ends = set(ids)
    for _ in range(_HOPS):
        keys = [(workspace_id, each) for each in open_ends]
        rows = select_by_keys(connection, contact_merges, ("from_id", "into_id"), ("workspace_id", "from_id"), keys)
        step = {row[0]: row[1] for row in rows}
        if not step:
            break
        ends = {each: step.get(end, end) for each, end in ends.items()}
        open_ends = set(step.values())
    return {each: end for each, end in ends.items() if end != each}
