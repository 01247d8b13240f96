"""
Objects as Intercom's REST API (2.16) returns them.

Times are unix seconds, owner ids are text, and unset keys of a company are absent.

Source:
    Intercom's OpenAPI description 2.16, schemas `contact` and `company`.
"""

from collections.abc import Mapping
from typing import Any

from emulator.notification_json import embedded_lists
from emulator.segments import COMPANY_SEGMENTS, Segment, of_company
from emulator.workspace_records import COMPANY_TIMES, CONTACT_TIMES, CompanyRecord, ContactRecord, TagRecord
from intercom_api.wire.times import MS_PER_SECOND


def contact(record: ContactRecord, workspace_id: str, limit: int | None = None) -> dict[str, Any]:
    """Return a contact as GET /contacts/{id} does; its lists have at most `limit` members (None: all)."""
    values = record.values
    item = {"type": "contact", "id": record.id, "workspace_id": workspace_id, **values}
    for name in CONTACT_TIMES:
        item[name] = _seconds(values[name])
    owner_id, email = values["owner_id"], values["email"]
    item["owner_id"] = None if owner_id is None else str(owner_id)
    item["email_domain"] = email.rpartition("@")[2] if email else None
    return item | embedded_lists(record, limit)


def company(record: CompanyRecord, workspace_id: str, tags: Mapping[str, TagRecord]) -> dict[str, Any]:
    """Return a company as GET /companies/{id} does, without unset keys."""
    item = {"type": "company", "id": record.id, "app_id": workspace_id, **record.values}
    for name in COMPANY_TIMES:
        item[name] = _seconds(record.values[name])
    item = {name: value for name, value in item.items() if value is not None}
    item["user_count"] = len(record.contact_ids)
    item["tags"] = {"type": "tag.list", "tags": [tag(tags[tag_id]) for tag_id in record.tag_ids]}
    segments = [segment(COMPANY_SEGMENTS[segment_id]) for segment_id in of_company(record)]
    item["segments"] = {"type": "segment.list", "segments": segments}
    item["notes"] = {"type": "note.list", "notes": []}
    return item


def tag(record: TagRecord) -> dict[str, Any]:
    """Return a tag as GET /tags/{id} does."""
    return {"type": "tag", "id": record.id, "name": record.name}


def segment(record: Segment) -> dict[str, Any]:
    """Return a segment as GET /segments does."""
    return {
        "type": "segment",
        "id": record.id,
        "name": record.name,
        "person_type": record.person_type,
        "created_at": record.created_at,
        "updated_at": record.created_at,
    }


def _seconds(milliseconds: int | None) -> int | None:
    return None if milliseconds is None else milliseconds // MS_PER_SECOND
