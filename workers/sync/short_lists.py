"""Read the short lists: tags, segments and data attributes. Each is one response."""

from collections.abc import Iterator
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal

import msgspec
from sqlalchemy import Connection, delete

from intercom_api.http.pages import Page
from models.db.bulk import upsert
from models.tables.column_types import datetime_text
from models.tables.public_tables import data_attributes
from workers.facts import from_listing
from workers.sync.run_parts import LEAVERS, MEMBERS, NewPart, PageResult, Part, RunContext

_encode = msgspec.json.Encoder().encode

# The person_type of segments of companies; a company's own JSON contains its segments, so their members are not read.
_COMPANY_SEGMENT = "company"


def read_tags(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read the names of all tags."""
    yield _result(context, part, "tag", context.client.tags())


def read_segments(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read the names of all segments; a complete run reads the members of each next."""
    page = context.client.segments()
    result = _result(context, part, "segment", page)
    parts: list[NewPart] = []
    for segment in page.items:
        if context.run.is_complete and segment.get("person_type") != _COMPANY_SEGMENT:
            parts += [NewPart(f"members/{segment['id']}/", MEMBERS), NewPart(f"leavers/{segment['id']}", LEAVERS)]
    yield msgspec.structs.replace(result, new_parts=tuple(parts))


def read_data_attributes(context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read the definitions of the data attributes of contacts or companies."""
    model: Literal["contact", "company"] = "company" if part.subject == "company" else "contact"
    items = context.client.data_attributes(model)
    yield PageResult(
        part.name, [], done=True, store=partial(_replace_attributes, context.run.workspace_id, model, items)
    )


def _result(context: RunContext, part: Part, kind: str, page: Page) -> PageResult:
    run = context.run
    reports = from_listing.reports_from_page(
        run.workspace_id, run.source, page.items, page.as_of_ms, from_listing.named_object_reader(kind)
    )
    listed = (kind, from_listing.object_ids(reports)) if run.confirms_missing else None
    return PageResult(part.name, reports, done=True, listed=listed)


def _replace_attributes(workspace_id: str, model: str, items: list[dict[str, Any]], connection: Connection) -> None:
    """Write the rows of a model's attributes, and delete those that are no longer in the list."""
    now = datetime.now(UTC)
    rows = {}
    for item in items:
        full_name = item.get("full_name") or item.get("name")
        if isinstance(full_name, str):
            rows[full_name] = _attribute_row(workspace_id, model, full_name, item, datetime_text(now))
    upsert(connection, data_attributes, tuple(column.name for column in data_attributes.columns), list(rows.values()))
    c = data_attributes.c
    connection.execute(
        delete(data_attributes).where(c.workspace_id == workspace_id, c.model == model, c["_synced_at"] < now)
    )


def _attribute_row(workspace_id: str, model: str, full_name: str, item: dict[str, Any], now: str) -> tuple[Any, ...]:
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
