"""Data attributes: two short lists without guard rows, compared line by line."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

import msgspec
from sqlalchemy import RowMapping, select

from models.tables.public_tables import data_attributes
from workers.verify.compare import Comparison, json_equal
from workers.verify.context import VerifyContext
from workers.verify.outcome import VerifyOutcome

TYPE = "data_attribute"
_MODELS: tuple[Literal["contact", "company"], ...] = ("contact", "company")
# Columns that hold Intercom's value as it is; of another type they are null.
_TEXTS, _FLAGS = ("label", "description", "data_type"), ("custom", "archived")


def attributes(tools: VerifyContext, outcome: VerifyOutcome) -> None:
    """Compare both lists and count what differs; nothing tells of their changes, so nothing is looked at again."""
    for model in _MODELS:
        told = {_full_name(item): item for item in tools.client.data_attributes(model)}
        kept = _kept(tools, outcome.workspace_id, model)
        for name in sorted(told.keys() | kept.keys()):
            outcome.record(TYPE, f"{model}.{name}", compare_attribute(told.get(name), kept.get(name)))
            outcome.compared[TYPE] += 1


def compare_attribute(item: Mapping[str, Any] | None, row: Mapping[str, Any] | None) -> Comparison:
    """Compare one attribute, as Intercom lists it and as its row holds it; None: it is not there."""
    if item is None:
        return Comparison("equal" if row is None else "extra")
    if row is None:
        return Comparison("missing")
    fields = tuple(sorted(_differing(item, row)))
    return Comparison("differing" if fields else "equal", fields)


def _differing(item: Mapping[str, Any], row: Mapping[str, Any]) -> Iterator[str]:
    raw = row["_raw"] if isinstance(row["_raw"], dict) else {}
    wanted = {
        "id": None if item.get("id") is None else str(item["id"]),
        "name": str(item.get("name") or _full_name(item)),
        **{name: item.get(name) if isinstance(item.get(name), str) else None for name in _TEXTS},
        **{name: item.get(name) if isinstance(item.get(name), bool) else None for name in _FLAGS},
    }
    yield from (name for name, value in wanted.items() if not json_equal(row[name], value))
    # Names that are columns too are told once.
    yield from (name for name in item.keys() - wanted.keys() if not json_equal(raw.get(name), item[name]))
    if any(not json_equal(raw.get(name), item[name]) for name in item.keys() & wanted.keys()):
        yield "_raw"


def _kept(tools: VerifyContext, workspace_id: str, model: str) -> dict[str, dict[str, Any]]:
    c = data_attributes.c
    query = select(data_attributes).where(c.workspace_id == workspace_id, c.model == model)
    with tools.reader.connect() as connection:
        return {row["full_name"]: _plain(row) for row in connection.execute(query).mappings()}


def _plain(row: RowMapping) -> dict[str, Any]:
    # What JSON makes of it, so that both sides went the same way.
    raw: Any = msgspec.json.decode(msgspec.json.encode(row["_raw"]))
    return {**row, "_raw": raw}


def _full_name(item: Mapping[str, Any]) -> str:
    return str(item.get("full_name") or item.get("name"))
