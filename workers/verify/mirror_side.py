"""Read the mirror's side of a comparison: what the tables hold of objects, and what their guard rows remember."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Boolean, Connection, Engine, RowMapping, Table, func, select

from models.db.bulk import select_by_keys
from models.rule.observations import LINKS
from models.rule.state import Registers, decode_registers
from models.tables.column_types import Json, datetime_text
from models.tables.internal_tables import contact_merges, object_states
from models.tables.public_tables import ENTITIES, LINK_TABLES, data_attributes
from workers.verify.compare import MirrorObject, owned_lists

# Ids read in one statement while a whole table is read: a few hundred kilobytes.
_IDS_PER_BATCH = 5_000

# Merges that are followed one after the other; Intercom itself follows three.
_MAX_HOPS = 100


def read_objects(engine: Engine, workspace_id: str, object_type: str, ids: Iterable[str]) -> dict[str, MirrorObject]:
    """Return what the tables hold of each of these objects; an object that they do not hold is included, empty."""
    wanted = sorted(set(ids))
    if not wanted:
        return {}
    with engine.connect() as connection:
        rows = _read_rows(connection, workspace_id, object_type, wanted)
        guards = _read_guards(connection, workspace_id, object_type, wanted)
        links = _read_links(connection, workspace_id, object_type, wanted)
        redirects = _resolve_merges(connection, workspace_id, wanted) if object_type == "contact" else {}
    unknown = (Registers(), False)
    return {
        each: MirrorObject(rows.get(each), links.get(each, {}), redirects.get(each), *guards.get(each, unknown))
        for each in wanted
    }


def read_attributes(engine: Engine, workspace_id: str, model: str) -> dict[str, dict[str, Any]]:
    """Return the rows of a model's data attributes, by full name."""
    c = data_attributes.c
    query = select(data_attributes).where(c.workspace_id == workspace_id, c.model == model)
    with engine.connect() as connection:
        return {row["full_name"]: _with_decoded_raw(row) for row in connection.execute(query).mappings()}


def count_objects(engine: Engine, workspace_id: str, object_type: str) -> int:
    """Count the rows of a type."""
    table = ENTITIES[object_type].table
    query = select(func.count()).select_from(table).where(table.c.workspace_id == workspace_id)
    with engine.connect() as connection:
        return int(connection.execute(query).scalar_one())


def iter_ids(engine: Engine, workspace_id: str, object_type: str) -> Iterator[list[str]]:
    """Yield the ids of all rows of a type and of all owners of links, in batches; an id may come more than once."""
    tables = [(ENTITIES[object_type].table, "id")]
    tables += [(LINK_TABLES[kind], f"{object_type}_id") for kind in owned_lists(object_type)]
    for table, column in tables:
        yield from _iter_column(engine, workspace_id, table, column)


def iter_merged_ids(engine: Engine, workspace_id: str) -> Iterator[list[str]]:
    """Yield the ids of all contacts that were merged into another one, in batches."""
    return _iter_column(engine, workspace_id, contact_merges, "from_id")


def _iter_column(engine: Engine, workspace_id: str, table: Table, column: str) -> Iterator[list[str]]:
    """Read each batch by a statement of its own, so that no snapshot is held during calls to Intercom."""
    last = ""
    by = table.c[column]
    while True:
        query = select(by).distinct().where(table.c.workspace_id == workspace_id, by > last)
        with engine.connect() as connection:
            batch = [str(value) for value in connection.execute(query.order_by(by).limit(_IDS_PER_BATCH)).scalars()]
        if not batch:
            return
        yield batch
        last = batch[-1]


def _read_rows(
    connection: Connection, workspace_id: str, object_type: str, ids: Sequence[str]
) -> dict[str, dict[str, Any]]:
    entity = ENTITIES[object_type]
    # As text, so that PostgreSQL's JSON is decoded by the same code as SQLite's.
    cast = "::text" if connection.dialect.name == "postgresql" else ""
    columns = [f"{c.name}{cast}" if c.type is Json else c.name for c in entity.table.columns]
    keys = [(workspace_id, each) for each in ids]
    rows = select_by_keys(connection, entity.table, columns, ("workspace_id", "id"), keys)
    plain = [_plain_row(entity.table, row) for row in rows]
    return {str(row["id"]): row for row in plain}


def _plain_row(table: Table, row: Sequence[Any]) -> dict[str, Any]:
    """Convert what the two drivers return for a row to one form; a value of a wrong type is left as it is."""
    result: dict[str, Any] = {}
    for column, value in zip(table.columns, row, strict=True):
        if isinstance(value, datetime):
            result[column.name] = datetime_text(value)
        elif column.type is Json:
            result[column.name] = _decode_json(value)
        elif isinstance(column.type, Boolean) and value in (0, 1):
            result[column.name] = bool(value)
        else:
            result[column.name] = value
    return result


def _decode_json(value: Any) -> Any:
    try:
        return msgspec.json.decode(value)
    except (msgspec.DecodeError, TypeError):
        return None


def _with_decoded_raw(row: RowMapping) -> dict[str, Any]:
    # Encoded and decoded again, so that numbers on both sides come from the same decoder.
    raw: Any = msgspec.json.decode(msgspec.json.encode(row["_raw"]))
    return {**row, "_raw": raw}


def _read_guards(
    connection: Connection, workspace_id: str, object_type: str, ids: Sequence[str]
) -> dict[str, tuple[Registers, bool]]:
    keys = [(workspace_id, object_type, each) for each in ids]
    columns = ("object_id", "registers", "dirty", "clean")
    rows = select_by_keys(connection, object_states, columns, ("workspace_id", "object_type", "object_id"), keys)
    return {row[0]: (decode_registers(row[1]), row[2] > row[3]) for row in rows}


def _read_links(
    connection: Connection, workspace_id: str, object_type: str, ids: Sequence[str]
) -> dict[str, dict[str, frozenset[str]]]:
    keys = [(workspace_id, each) for each in ids]
    links: dict[str, dict[str, set[str]]] = {}
    for kind in owned_lists(object_type):
        owner, other = (f"{end}_id" for end in LINKS[kind])
        for row in select_by_keys(connection, LINK_TABLES[kind], (owner, other), ("workspace_id", owner), keys):
            links.setdefault(row[0], {}).setdefault(kind, set()).add(row[1])
    return {each: {kind: frozenset(others) for kind, others in kinds.items()} for each, kinds in links.items()}


def _resolve_merges(connection: Connection, workspace_id: str, ids: Sequence[str]) -> dict[str, str]:
    """Return where the chains of merges end, as contact_redirects does; only for contacts that were merged."""
    ends: dict[str, str] = {each: each for each in ids}
    open_ends = set(ids)
    for _ in range(_MAX_HOPS):
        keys = [(workspace_id, each) for each in open_ends]
        rows = select_by_keys(connection, contact_merges, ("from_id", "into_id"), ("workspace_id", "from_id"), keys)
        hops = {row[0]: row[1] for row in rows}
        if not hops:
            break
        ends = {each: hops.get(end, end) for each, end in ends.items()}
        open_ends = set(hops.values())
    return {each: end for each, end in ends.items() if end != each}
