"""Steps through the short lists: tags, segments, attributes; each is one answer."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, delete

from intercom_api.http.pages import Page
from models.db.bulk import upsert
from models.rule.observations import Report
from models.tables.column_types import datetime_text
from models.tables.public_tables import data_attributes
from workers.facts import from_listing
from workers.sync.parts import LEAVERS, MEMBERS, NewPart, PageResult, Part, RunContext

_encode = msgspec.json.Encoder().encode

# Intercom's segments are of people or of companies; whose members are companies is told by the companies themselves.
_OF_COMPANIES = "company"


def tags(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read the names of all tags."""
    yield _short(context, part, "tag", context.client.tags())


def segments(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read the names of all segments; where everything is walked, their members are read next."""
    page = context.client.segments()
    step = _short(context, part, "segment", page)
    more: list[NewPart] = []
    for segment in page.items:
        if context.run.complete and segment.get("person_type") != _OF_COMPANIES:
            more += [NewPart(f"members/{segment['id']}/", MEMBERS), NewPart(f"leavers/{segment['id']}", LEAVERS)]
    yield msgspec.structs.replace(step, more=tuple(more))


def attributes(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read what attributes contacts or companies have."""
    model: Literal["contact", "company"] = "company" if part.subject == "company" else "contact"
    write = partial(_write, context.run.workspace_id, model, context.client.data_attributes(model))
    yield PageResult(part.part, [], done=True, also=write)


def _short(context: RunContext, part: Part, kind: str, page: Page) -> PageResult:
    told = from_listing.reports_from_page(
        context.run.workspace_id, context.run.source, page.items, page.as_of_ms, from_listing.named_object_reader(kind)
    )
    shown = (kind, from_listing.object_ids(told)) if context.run.confirms else None
    return PageResult(part.part, told, done=True, shown=shown)


def _write(workspace_id: str, model: str, items: list[dict[str, Any]], connection: Connection) -> list[Report]:
    """Put the list in place of the one we had; what it no longer has is gone."""
    now = datetime.now(UTC)
    rows = {}
    for item in items:
        full_name = item.get("full_name") or item.get("name")
        if isinstance(full_name, str):
            rows[full_name] = _row(workspace_id, model, full_name, item, datetime_text(now))
    upsert(connection, data_attributes, tuple(column.name for column in data_attributes.columns), list(rows.values()))
    c = data_attributes.c
    connection.execute(
        delete(data_attributes).where(c.workspace_id == workspace_id, c.model == model, c["_synced_at"] < now)
    )
    return []


def _row(workspace_id: str, model: str, full_name: str, item: dict[str, Any], now: str) -> tuple[Any, ...]:
    object_id = item.get("id")
    texts = [item.get(name) for name in ("label", "description", "data_type")]
    flags = [item.get(name) for name in ("custom", "archived")]
    return (
        workspace_id,
        model,
        full_name,
        None if object_id is None else str(object_id),
        str(item.get("name") or full_name),
        *(text if isinstance(text, str) else None for text in texts),
        *(flag if isinstance(flag, bool) else None for flag in flags),
        _encode(item).decode(),
        now,
    )
