"""
Routes of what is linked to one contact: companies, tags, segments, subscriptions, notes.

Source:
    Intercom's OpenAPI description 2.16, "Contacts", "Companies", "Tags", "Segments", "Subscription Types", "Notes".
"""

from typing import Any

from emulator import rest_json, segments
from emulator.api import pagination
from emulator.api.api_call import ApiCall, Routes
from emulator.api.api_errors import bad_request, company_not_found, not_found, parameter_invalid
from emulator.api.company_routes import find_company
from emulator.api.contact_routes import find_contact
from emulator.api.workspace_routes import find_tag
from emulator.subscription_types import SUBSCRIPTION_TYPE_IDS, subscription_type

_COMPANIES_DEFAULT = 50
_MOST_COMPANIES = 60
_FIRST_NOTE = 30_000_000


def _companies(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = find_contact(call, contact_id)
    page, size = call.number("page", 1), call.number("per_page", _COMPANIES_DEFAULT, _MOST_COMPANIES)
    ids = list(record.company_ids)
    total_pages = -(-len(ids) // size)
    next_path = f"/contacts/{contact_id}/companies?page={page + 1}&per_page={size}" if page < total_pages else None
    companies = call.api.workspace.companies
    on_page = [call.api.company_json(companies[id_]) for id_ in pagination.numbered_page(ids, page, size)]
    return {
        "type": "list",
        call.api.switches.companies_key: on_page,
        "total_count": len(ids),
        "pages": {
            "type": "pages",
            "page": page,
            "per_page": size,
            "total_pages": total_pages,
            "next": next_path and call.url(next_path),
        },
    }


def _attach(call: ApiCall, contact_id: str) -> dict[str, Any]:
    contact = find_contact(call, contact_id)
    id_ = str(call.body.get("id") or "")
    if not id_:
        raise bad_request("company not specified", "parameter_not_found")
    company = find_company(call, id_)
    most = call.api.switches.company_limit
    if id_ not in contact.company_ids and len(contact.company_ids) >= most:
        raise bad_request(f"A contact can have at most {most} companies", "contact_company_limit_exceeded")
    call.api.act(lambda workspace: workspace.attach(contact_id, id_))
    return call.api.company_json(company)


def _detach(call: ApiCall, contact_id: str, id_: str) -> dict[str, Any]:
    contact, company = find_contact(call, contact_id), find_company(call, id_)
    if id_ not in contact.company_ids:
        raise company_not_found()
    call.api.act(lambda workspace: workspace.detach(contact_id, id_))
    return call.api.company_json(company)


def _tags(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = find_contact(call, contact_id)
    tags = call.api.workspace.tags
    return {"type": "list", "data": [rest_json.tag(tags[tag_id]) for tag_id in record.tag_ids]}


def _tag(call: ApiCall, contact_id: str) -> dict[str, Any]:
    find_contact(call, contact_id)
    tag = find_tag(call, call.required("id"))
    call.api.act(lambda workspace: workspace.tag(contact_id, tag.id))
    return rest_json.tag(tag)


def _untag(call: ApiCall, contact_id: str, tag_id: str) -> dict[str, Any]:
    record, tag = find_contact(call, contact_id), find_tag(call, tag_id)
    if tag_id not in record.tag_ids:
        raise not_found("Resource Not Found")
    call.api.act(lambda workspace: workspace.untag(contact_id, tag_id))
    return rest_json.tag(tag)


def _segments(call: ApiCall, contact_id: str) -> dict[str, Any]:
    ids = segments.of_contact(find_contact(call, contact_id))
    return {"type": "list", "data": [rest_json.segment(segments.CONTACT_SEGMENTS[id_]) for id_ in ids]}


def _subscriptions(call: ApiCall, contact_id: str) -> dict[str, Any]:
    # Only explicit choices are listed, not the default of the type.
    record = find_contact(call, contact_id)
    return {"type": "list", "data": [subscription_type(id_) for id_ in (*record.opted_in, *record.opted_out)]}


def _subscribe(call: ApiCall, contact_id: str) -> dict[str, Any]:
    find_contact(call, contact_id)
    id_, consent = call.required("id"), call.required("consent_type")
    if id_ not in SUBSCRIPTION_TYPE_IDS:
        raise not_found("Resource Not Found")
    if consent not in ("opt_in", "opt_out"):
        raise parameter_invalid("consent_type is opt_in or opt_out")
    subscribed = consent == "opt_in"
    call.api.act(lambda workspace: workspace.set_subscription(contact_id, id_, subscribed=subscribed))
    return subscription_type(id_)


def _unsubscribe(call: ApiCall, contact_id: str, id_: str) -> dict[str, Any]:
    find_contact(call, contact_id)
    if id_ not in SUBSCRIPTION_TYPE_IDS:
        raise not_found("Resource Not Found")
    call.api.act(lambda workspace: workspace.set_subscription(contact_id, id_, subscribed=False))
    return subscription_type(id_)


def _notes(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = find_contact(call, contact_id)
    notes = call.api.notes.get(record.id, [])
    return {
        "type": "list",
        "data": notes,
        "total_count": len(notes),
        "pages": pagination.cursor_pages(len(notes), max(len(notes), 1), None),
    }


def _add_note(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = find_contact(call, contact_id)
    notes = call.api.notes.setdefault(record.id, [])
    note = {
        "type": "note",
        "id": str(_FIRST_NOTE + sum(map(len, call.api.notes.values()))),
        "created_at": call.api.seconds(),
        "contact": {"type": "contact", "id": record.id},
        "author": None,
        "body": f"<p>{call.required('body')}</p>",
    }
    notes.append(note)
    call.api.forget_contact(record.id)
    return note


ROUTES: Routes = {
    ("GET", "/contacts/{}/companies"): _companies,
    ("POST", "/contacts/{}/companies"): _attach,
    ("DELETE", "/contacts/{}/companies/{}"): _detach,
    ("GET", "/contacts/{}/tags"): _tags,
    ("POST", "/contacts/{}/tags"): _tag,
    ("DELETE", "/contacts/{}/tags/{}"): _untag,
    ("GET", "/contacts/{}/segments"): _segments,
    ("GET", "/contacts/{}/subscriptions"): _subscriptions,
    ("POST", "/contacts/{}/subscriptions"): _subscribe,
    ("DELETE", "/contacts/{}/subscriptions/{}"): _unsubscribe,
    ("GET", "/contacts/{}/notes"): _notes,
    ("POST", "/contacts/{}/notes"): _add_note,
}
