"""
Objects as notifications contain them: ISO times with milliseconds, nulls present, at most ten links in each list.

Source:
    Intercom, "Webhook models", and recorded notifications: the documentation shows unix times, the wire has ISO times.
"""

from collections.abc import Iterable
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from emulator.subscription_types import subscription_type
from emulator.workspace_records import COMPANY_TIMES, CONTACT_TIMES, CompanyRecord, ContactRecord, IdSet, TagRecord
from intercom_api.wire.times import MS_PER_SECOND

# The greatest number of links that Intercom embeds in a contact; the rest is behind the list's `url`.
_EMBEDDED = 10

# The keys that the company inside company.contact.* lacks.
_NOT_IN_PARTIAL = frozenset({"size", "website", "industry", "plan"})


def iso_time(milliseconds: int | None) -> str | None:
    """Format a time as notifications do, "2026-01-10T04:11:34.013+00:00"; None stays None."""
    if milliseconds is None:
        return None
    return datetime.fromtimestamp(milliseconds / MS_PER_SECOND, UTC).isoformat(timespec="milliseconds")


def contact(record: ContactRecord, workspace_id: str) -> dict[str, Any]:
    """Return the complete contact."""
    values = record.values
    item = {"type": "contact", "id": record.id, "workspace_id": workspace_id, **values}
    for name in CONTACT_TIMES:
        item[name] = iso_time(values[name])
    return item | embedded_lists(record, _EMBEDDED)


def embedded_lists(record: ContactRecord, limit: int | None) -> dict[str, Any]:
    """Return the lists inside a contact, each with at most `limit` members (None: all)."""
    base = f"/contacts/{record.id}"
    return {
        "tags": _list(record.tag_ids, "tag", "/tags", f"{base}/tags", limit),
        "notes": _list({}, "note", "/notes", f"{base}/notes", limit),
        "companies": _list(record.company_ids, "company", "/companies", f"{base}/companies", limit),
        "opted_out_subscription_types": _subscription_list(record.opted_out, base, limit),
        "opted_in_subscription_types": _subscription_list(record.opted_in, base, limit),
    }


def company(record: CompanyRecord, workspace_id: str) -> dict[str, Any]:
    """Return the complete company, as in company.created and company.updated."""
    values = record.values
    item = {"type": "company", "id": record.id, "app_id": workspace_id, **values}
    for name in COMPANY_TIMES:
        item[name] = iso_time(values[name])
    item["user_count"] = len(record.contact_ids)
    item["tag_ids"] = list(record.tag_ids)
    return item


def partial_company(record: CompanyRecord, workspace_id: str) -> dict[str, Any]:
    """Return the company inside company.contact.*: some keys are missing, and the plan is only a `plan_id`."""
    complete = company(record, workspace_id)
    plan = complete["plan"]
    item = {name: value for name, value in complete.items() if name not in _NOT_IN_PARTIAL}
    return item | {"plan_id": plan["id"] if plan else None}


def company_contact(company_item: dict[str, Any], contact_item: dict[str, Any]) -> dict[str, Any]:
    """Return the item of company.contact.attached and .detached, which has no `type` of its own."""
    phone = contact_item["phone"]
    return {"company": company_item, "contact": contact_item | {"formatted_phone": phone and _formatted(phone)}}


def contact_tag(tag: TagRecord, contact_item: dict[str, Any]) -> dict[str, Any]:
    """Return the item of contact.*.tag.created and .deleted."""
    return {"type": "contact_tag", "tag": {"type": "tag", "id": tag.id, "name": tag.name}, "contact": contact_item}


def subscription(type_: str, contact_item: dict[str, Any], subscription_id: str, created_at: int) -> dict[str, Any]:
    """Return the item of the subscription topics; `type_` is the item's type, `created_at` is in unix seconds."""
    return {
        "type": type_,
        "contact": contact_item,
        "subscription_types": {"type": "list", "data": [subscription_type(subscription_id, "Newsletter")]},
        "created_at": created_at,
    }


def contact_stub(record: ContactRecord, key: str) -> dict[str, Any]:
    """Return the item of contact.deleted and contact.archived; `key` is the last word of the topic."""
    return {"id": record.id, "external_id": record.values["external_id"], "type": "contact", key: True}


def company_stub(record: CompanyRecord) -> dict[str, Any]:
    """Return the item of company.deleted, which does not even contain the company_id."""
    return {"id": record.id, "type": "company", "deleted": True}


def old_user(record: ContactRecord, workspace_id: str) -> dict[str, Any]:
    """Return the item of visitor.signed_up, which has the user format of API 1.x: unix times, nested lists."""
    values = record.values
    seconds = {name: values[name] and values[name] // MS_PER_SECOND for name in CONTACT_TIMES}
    return {
        "type": "user",
        "id": record.id,
        "user_id": values["external_id"],
        "anonymous": False,
        "email": values["email"],
        "phone": values["phone"],
        "name": values["name"],
        "pseudonym": None,
        "avatar": {"type": "avatar", "image_url": None},
        "app_id": workspace_id,
        "companies": {
            "type": "company.list",
            "companies": [{"type": "company", "id": company_id} for company_id in record.company_ids],
        },
        "location_data": {},
        "last_request_at": seconds["last_seen_at"],
        "created_at": seconds["created_at"],
        "remote_created_at": seconds["signed_up_at"],
        "signed_up_at": seconds["signed_up_at"],
        "updated_at": seconds["updated_at"],
        "session_count": 1,
        "social_profiles": {"type": "social_profile.list", "social_profiles": []},
        "unsubscribed_from_emails": values["unsubscribed_from_emails"],
        "user_agent_data": None,
        "tags": {"type": "tag.list", "tags": [{"type": "tag", "id": tag_id} for tag_id in record.tag_ids]},
        "segments": {"type": "segment.list", "segments": []},
        "custom_attributes": values["custom_attributes"],
    }


def _list(ids: IdSet, type_: str, base: str, url: str, limit: int | None) -> dict[str, Any]:
    shown: Iterable[str] = ids if limit is None else islice(ids, limit)
    return {
        "type": "list",
        "data": [{"id": id_, "type": type_, "url": f"{base}/{id_}"} for id_ in shown],
        "url": url,
        "total_count": len(ids),
        "has_more": limit is not None and len(ids) > limit,
    }


def _subscription_list(ids: IdSet, base: str, limit: int | None) -> dict[str, Any]:
    return _list(ids, "subscription", "/subscription_types", f"{base}/subscriptions", limit)


def _formatted(phone: str) -> str:
    return f"{phone[:2]} {phone[2:5]}-{phone[5:8]}-{phone[8:]}"
