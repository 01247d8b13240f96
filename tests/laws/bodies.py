"""Short notifications and answers, for cases told by hand. Seconds count from the beginning of the histories."""

from datetime import UTC, datetime
from hashlib import sha256
from typing import Any

import msgspec

from tests.laws.truth import BEGINNING
from workers.facts.from_fetch import FoundObject, MissingObject

START = BEGINNING // 1000

Json = dict[str, Any]


def iso(seconds: float) -> str:
    """Write a time as notifications do; a tenth of a second is told with milliseconds."""
    return datetime.fromtimestamp(START + seconds, UTC).isoformat(timespec="milliseconds")


def listed(ids: str | list[str], *, more: bool = False) -> Json:
    return {"type": "list", "data": [{"id": id_} for id_ in ids], "has_more": more, "total_count": len(ids) + more}


# A contact whose lists are known to be empty.
NO_LISTS: Json = {"tags": listed([]), "companies": listed([])}


def contact(id_: str = "c", at: float | str | None = None, **fields: Any) -> Json:
    """Return a whole contact as of `at`, without lists unless they are given."""
    updated_at = iso(at) if isinstance(at, int | float) else at
    return {"type": "contact", "id": id_, "role": "user", "updated_at": updated_at, **fields}


def company(id_: str = "f", at: float | None = None, **fields: Any) -> Json:
    return {"type": "company", "id": id_, "updated_at": None if at is None else iso(at), **fields}


def note(topic: str, item: Json, at: float, id_: str | None = "") -> Json:
    """Return an envelope of the second of `at`; its id follows from what is in it unless one is given."""
    inside = msgspec.json.encode([topic, item, at])
    return {
        "type": "notification_event",
        "id": f"notif_{sha256(inside).hexdigest()[:12]}" if id_ == "" else id_,
        "topic": topic,
        "created_at": START + int(at),
        "delivery_attempts": 1,
        "data": {"type": "notification_event_data", "item": item},
    }


def updated(at: float, id_: str = "c", **fields: Any) -> Json:
    return note("contact.user.updated", contact(id_, at, **fields), at)


def company_updated(at: float, id_: str = "f", **fields: Any) -> Json:
    return note("company.updated", company(id_, at, tag_ids=[], **fields), at)


def attached(company_id: str, at: float, *, topic: str = "attached", firm_at: float = 0, **fields: Any) -> Json:
    item = {"company": company(company_id, firm_at, name="in part"), "contact": contact("c", at, **fields)}
    return note(f"company.contact.{topic}", item, at)


def tagged(tag_id: str, at: float, topic: str = "created") -> Json:
    tag = {"type": "tag", "id": tag_id, "name": f"Tag {tag_id}"}
    item = {"type": "contact_tag", "tag": tag, "contact": contact("c", at, tags=listed([]))}
    return note(f"contact.user.tag.{topic}", item, at)


def deleted(at: float, id_: str = "c", object_type: str = "contact") -> Json:
    return note(f"{object_type}.deleted", {"type": object_type, "id": id_, "deleted": True}, at)


def archived(at: float, id_: str = "c") -> Json:
    return note("contact.archived", {"type": "contact", "id": id_, "archived": True}, at)


def unarchived(at: float) -> Json:
    return note("contact.unarchived", contact("c", at), at)


def merged(source: str, survivor: str, at: float, *, named: bool = True) -> Json:
    extra = {"merged_from": {"type": "contact", "id": source}} if named else {}
    return note("contact.merged", contact(survivor, at) | extra, at)


def found(item: Json, as_of: float, *, archived: bool = False) -> FoundObject:
    """Return an answer in REST form: whole seconds, complete lists (empty ones unless they are given)."""
    times = {key: int(datetime.fromisoformat(item[key]).timestamp()) for key in ("updated_at",) if item.get(key)}
    lists = {"tags": listed([]), "companies": listed([])} if item["type"] == "contact" else {"tags": {"tags": []}}
    return FoundObject(lists | item | times, ms(as_of), archived)


def gone(as_of: float) -> MissingObject:
    return MissingObject(ms(as_of))


def ms(seconds: float) -> int:
    return BEGINNING + round(seconds * 1000)
