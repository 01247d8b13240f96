"""
What belongs to one contact, whole: companies in pages, tags, segments, subscriptions, notes.

Source:
    Intercom's OpenAPI description 2.16, "Contacts", "Companies", "Segments", "Subscription Types".
"""

from typing import Any

from emulator import rest_json, segments
from emulator.api import pagination
from emulator.api.api_call import ApiCall, Routes
from emulator.api.contact_routes import record_of
from emulator.api.subscriptions import subscription_type

_COMPANIES_DEFAULT = 50
_MOST_COMPANIES = 60


def _companies(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = record_of(call, contact_id)
    page, size = call.number("page", 1), call.number("per_page", _COMPANIES_DEFAULT, _MOST_COMPANIES)
    ids = list(record.company_ids)
    total_pages = -(-len(ids) // size)
    following = f"/contacts/{contact_id}/companies?page={page + 1}&per_page={size}" if page < total_pages else None
    known = call.api.workspace.companies
    return {
        "type": "list",
        call.api.switches.companies_key: [call.api.company(known[id_]) for id_ in pagination.numbered(ids, page, size)],
        "total_count": len(ids),
        "pages": {
            "type": "pages",
            "page": page,
            "per_page": size,
            "total_pages": total_pages,
            "next": following and call.url(following),
        },
    }


def _tags(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = record_of(call, contact_id)
    tags = call.api.workspace.tags
    return {"type": "list", "data": [rest_json.tag(tags[tag_id]) for tag_id in record.tag_ids]}


def _segments(call: ApiCall, contact_id: str) -> dict[str, Any]:
    ids = segments.of_contact(record_of(call, contact_id))
    return {"type": "list", "data": [rest_json.segment(segments.CONTACT_SEGMENTS[id_]) for id_ in ids]}


def _subscriptions(call: ApiCall, contact_id: str) -> dict[str, Any]:
    # Only what somebody chose is listed; what holds by default is not.
    record = record_of(call, contact_id)
    return {"type": "list", "data": [subscription_type(id_) for id_ in (*record.opted_in, *record.opted_out)]}


def _notes(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = record_of(call, contact_id)
    notes = call.api.notes.get(record.id, [])
    return {
        "type": "list",
        "data": notes,
        "total_count": len(notes),
        "pages": pagination.cursor_pages(len(notes), max(len(notes), 1), None),
    }


ROUTES: Routes = {
    ("GET", "/contacts/{}/companies"): _companies,
    ("GET", "/contacts/{}/tags"): _tags,
    ("GET", "/contacts/{}/segments"): _segments,
    ("GET", "/contacts/{}/subscriptions"): _subscriptions,
    ("GET", "/contacts/{}/notes"): _notes,
}
