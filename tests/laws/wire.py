"""
The shapes of objects in Intercom's messages, and their canonical shape in the mirror.

Source:
    Intercom's OpenAPI description 2.16 and real notifications: times are ISO 8601 there and unix seconds in REST.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.laws.true_workspace import Company, Contact

# Intercom embeds no more members than this in a contact's lists.
EMBEDDED = 10

# Keys that the company inside company.contact.* lacks.
_NOT_IN_PART = frozenset({"size", "website", "industry", "plan"})


@dataclass(frozen=True)
class Style:
    """
    How a notification represents its object.

    Attributes:
        times: "ms" (ISO with milliseconds), "zero" (ISO whose milliseconds are cut to .000), "seconds" (a number).
        short: a contact lacks two keys that others carry.
        before: a list inside a notification about that list shows it as it was before the change.
        lag: milliseconds from the event to the creation of the notification, which is its created_at.
    """

    times: str = "ms"
    short: bool = False
    before: bool = False
    lag: int = 0


def contact(thing: "Contact", style: Style, *, companies: Sequence[str], tags: Sequence[str]) -> dict[str, Any]:
    """Return the whole contact as in notifications, with the given members of its lists."""
    item = _timed({"type": "contact", "id": thing.id, "workspace_id": "@the-workspace@", **thing.values}, style)
    if item["owner_id"] is not None:
        item["owner_id"] = int(item["owner_id"])
    if style.short:
        del item["referrer"], item["last_seen_at"]
    return item | {"tags": _cut(tags, "tag"), "companies": _cut(companies, "company"), "utm_source": None}


def company(thing: "Company", style: Style, user_count: int) -> dict[str, Any]:
    """Return the whole company as in company.created and company.updated."""
    item = _timed({"type": "company", "id": thing.id, "app_id": "@the-workspace@", **thing.values}, style)
    return item | {"user_count": user_count, "tag_ids": list(thing.tags)}


def part(thing: "Company", style: Style, user_count: int) -> dict[str, Any]:
    """Return the company as in company.contact.*."""
    whole = company(thing, style, user_count)
    plan = whole["plan"]
    return {key: value for key, value in whole.items() if key not in _NOT_IN_PART} | {"plan_id": plan and plan["id"]}


def rest_contact(thing: "Contact") -> dict[str, Any]:
    """Return the contact as GET /contacts/{id} does, with complete lists."""
    item = contact(thing, Style("seconds"), companies=(), tags=())
    email = thing.values["email"]
    lists = {"tags": _whole(thing.tags, "tag"), "companies": _whole(thing.companies, "company")}
    return item | lists | {"owner_id": thing.values["owner_id"], "email_domain": email and email.split("@")[1]}


def rest_company(thing: "Company", tags: Mapping[str, str], user_count: int) -> dict[str, Any]:
    """Return the company as GET /companies/{id} does: unset keys are absent."""
    item = {key: value for key, value in company(thing, Style("seconds"), user_count).items() if value is not None}
    del item["tag_ids"]
    listed = [{"type": "tag", "id": tag_id, "name": tags[tag_id]} for tag_id in thing.tags]
    return item | {"tags": {"type": "tag.list", "tags": listed}, "segments": {"type": "segment.list", "segments": []}}


def canonical_contact(thing: "Contact", *, short: bool = False) -> dict[str, Any]:
    """Return the contact as the mirror must store it; with `short`, only the keys of a short notification."""
    fields = {"type": "contact", "id": thing.id, "utm_source": None, **thing.values}
    if short:
        del fields["referrer"], fields["last_seen_at"]
    return _in_seconds(fields)


def canonical_company(thing: "Company", user_count: int) -> dict[str, Any]:
    """Return the company as the mirror must store it."""
    return _in_seconds({"type": "company", "id": thing.id, "user_count": user_count, **thing.values})


def canonical_part(thing: "Company", user_count: int) -> dict[str, Any]:
    """Return the keys of the company in company.contact.* (of the plan, it has the id)."""
    whole = canonical_company(thing, user_count)
    return {key: value for key, value in whole.items() if key == "plan" or key not in _NOT_IN_PART}


def _timed(item: dict[str, Any], style: Style) -> dict[str, Any]:
    return {key: _time(value, style.times) if key.endswith("_at") else value for key, value in item.items()}


def _time(value: int | None, times: str) -> object:
    if value is None or times == "seconds":
        return value and value // 1000
    shown = value if times == "ms" else value // 1000 * 1000
    return datetime.fromtimestamp(shown / 1000, UTC).isoformat(timespec="milliseconds")


def _in_seconds(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value // 1000 if key.endswith("_at") and value else value for key, value in fields.items()}


def _cut(ids: Sequence[str], kind: str) -> dict[str, Any]:
    return {
        "type": "list",
        "data": [{"id": member, "type": kind} for member in ids[:EMBEDDED]],
        "total_count": len(ids),
        "has_more": len(ids) > EMBEDDED,
    }


def _whole(ids: Sequence[str], kind: str) -> dict[str, Any]:
    return {
        "type": "list",
        "data": [{"id": member, "type": kind} for member in ids],
        "total_count": len(ids),
        "has_more": False,
    }
