"""Short notifications and fetch results for hand-written cases. Seconds count from the beginning of the histories."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from tests.laws.true_workspace import BEGINNING
from workers.facts.from_fetch import FoundObject, MissingObject

START = BEGINNING // 1000

Json = dict[str, Any]


def iso(seconds: float) -> str:
    """Format a time as notifications do, with milliseconds."""
    return datetime.fromtimestamp(START + seconds, UTC).isoformat(timespec="milliseconds")


def link_list(ids: str | list[str], *, more: bool = False) -> Json:
    return {"type": "list", "data": [{"id": id_} for id_ in ids], "has_more": more, "total_count": len(ids) + more}


# The lists of a contact without links.
NO_LISTS: Json = {"tags": link_list([]), "companies": link_list([])}


def contact(id_: str = "c", at: float | str | None = None, **fields: Any) -> Json:
    """Return a whole contact as of `at`, with the lists that are given."""
    updated_at = iso(at) if isinstance(at, int | float) else at
    return {"type": "contact", "id": id_, "role": "user", "updated_at": updated_at, **fields}


def company(id_: str = "f", at: float | None = None, **fields: Any) -> Json:
    return {"type": "company", "id": id_, "updated_at": None if at is None else iso(at), **fields}


def notification(topic: str, item: Json, at: float, id_: str | None = "") -> Json:
    """Return a notification of the second of `at`; without an `id_`, its id is computed from its content."""
    content = msgspec.json.encode([topic, item, at])
    return {
        "type": "notification_event",
        "id": f"notif_{sha256(content).hexdigest()[:12]}" if id_ == "" else id_,
        "topic": topic,
        "created_at": START + int(at),
        "delivery_attempts": 1,
        "data": {"type": "notification_event_data", "item": item},
    }


def contact_updated(at: float, id_: str = "c", **fields: Any) -> Json:
    return notification("contact.user.updated", contact(id_, at, **fields), at)


def company_updated(at: float, id_: str = "f", **fields: Any) -> Json:
    return notification("company.updated", company(id_, at, tag_ids=[], **fields), at)


def company_attached(company_id: str, at: float, *, topic: str = "attached", firm_at: float = 0, **fields: Any) -> Json:
    item = {"company": company(company_id, firm_at, name="in part"), "contact": contact("c", at, **fields)}
    return notification(f"company.contact.{topic}", item, at)


def contact_tagged(tag_id: str, at: float, topic: str = "created") -> Json:
    tag = {"type": "tag", "id": tag_id, "name": f"Tag {tag_id}"}
    item = {"type": "contact_tag", "tag": tag, "contact": contact("c", at, tags=link_list([]))}
    return notification(f"contact.user.tag.{topic}", item, at)


def object_deleted(at: float, id_: str = "c", object_type: str = "contact") -> Json:
    return notification(f"{object_type}.deleted", {"type": object_type, "id": id_, "deleted": True}, at)


def contact_archived(at: float, id_: str = "c") -> Json:
    return notification("contact.archived", {"type": "contact", "id": id_, "archived": True}, at)


def contact_unarchived(at: float) -> Json:
    return notification("contact.unarchived", contact("c", at), at)


def contact_merged(source: str, survivor: str, at: float, *, named: bool = True) -> Json:
    extra = {"merged_from": {"type": "contact", "id": source}} if named else {}
    return notification("contact.merged", contact(survivor, at) | extra, at)


def found_response(item: Json, as_of: float, *, archived: bool = False) -> FoundObject:
    """Return what a GET found, in REST form: whole seconds, and complete lists (empty unless they are given)."""
    times = {key: int(datetime.fromisoformat(item[key]).timestamp()) for key in ("updated_at",) if item.get(key)}
    lists = {"tags": link_list([]), "companies": link_list([])} if item["type"] == "contact" else {"tags": {"tags": []}}
    return FoundObject(lists | item | times, ms(as_of), archived)


def missing_response(as_of: float) -> MissingObject:
    return MissingObject(ms(as_of))


def ms(seconds: float) -> int:
    return BEGINNING + round(seconds * 1000)
