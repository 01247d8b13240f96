"""
Writing what hangs on contacts and companies: tags, subscriptions, notes, data attributes.

Source:
    Intercom's OpenAPI description 2.16, "Tags", "Subscription Types", "Notes", "Data Attributes".
"""

from typing import Any

from emulator import rest_json
from emulator.api import data_attributes
from emulator.api.api_call import ApiCall, Routes
from emulator.api.api_errors import bad_request, not_found, parameter_invalid
from emulator.api.company_routes import record_of as company_of
from emulator.api.contact_routes import record_of as contact_of
from emulator.api.subscriptions import subscription_type
from emulator.random_operations import SUBSCRIPTIONS
from emulator.workspace_records import TagRecord


def _needed(call: ApiCall, name: str) -> str:
    if not call.body.get(name):
        raise bad_request(f"{name} not specified", "parameter_not_found")
    return str(call.body[name])


def _entries(call: ApiCall, name: str) -> list[dict[str, Any]]:
    entries = call.body.get(name) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise parameter_invalid(f"{name} must be a list of objects")
    return entries


def _known_tag(call: ApiCall, tag_id: str) -> TagRecord:
    tag = call.api.workspace.tags.get(tag_id)
    if tag is None:
        raise not_found("Resource Not Found")
    return tag


def _tag(call: ApiCall, contact_id: str) -> dict[str, Any]:
    contact_of(call, contact_id)
    tag = _known_tag(call, _needed(call, "id"))
    call.api.act(lambda workspace: workspace.tag(contact_id, tag.id))
    return rest_json.tag(tag)


def _untag(call: ApiCall, contact_id: str, tag_id: str) -> dict[str, Any]:
    record, tag = contact_of(call, contact_id), _known_tag(call, tag_id)
    if tag_id not in record.tag_ids:
        raise not_found("Resource Not Found")
    call.api.act(lambda workspace: workspace.untag(contact_id, tag_id))
    return rest_json.tag(tag)


def _create_tag(call: ApiCall) -> dict[str, Any]:
    """Create a tag, or rename one, or put it on many companies or users at once."""
    workspace, name = call.api.workspace, _needed(call, "name")
    if call.body.get("id"):
        tag = _known_tag(call, str(call.body["id"]))
        tag.name = name
        return rest_json.tag(tag)
    known = (tag.id for tag in workspace.tags.values() if tag.name.casefold() == name.casefold())
    tag = workspace.tags[next(known, None) or workspace.create_tag(name)]
    for entry in _entries(call, "companies"):
        _tag_company(call, entry, tag)
    for entry in _entries(call, "users"):
        contact_id = contact_of(call, str(entry.get("id"))).id
        change = workspace.untag if entry.get("untag") else workspace.tag
        call.api.act(lambda _, change=change, id_=contact_id: change(id_, tag.id))  # type: ignore[misc]
    return rest_json.tag(tag)


def _tag_company(call: ApiCall, entry: dict[str, Any], tag: TagRecord) -> None:
    known = call.api.workspace.companies.values()
    id_ = entry.get("id") or next((one.id for one in known if one.values["company_id"] == entry.get("company_id")), "")
    record = company_of(call, str(id_))
    if entry.get("untag"):
        record.tag_ids.pop(tag.id, None)
    else:
        call.api.act(lambda workspace: workspace.tag_company(record.id, tag.id))


def _subscribe(call: ApiCall, contact_id: str) -> dict[str, Any]:
    contact_of(call, contact_id)
    id_, consent = _needed(call, "id"), _needed(call, "consent_type")
    if id_ not in SUBSCRIPTIONS:
        raise not_found("Resource Not Found")
    if consent not in ("opt_in", "opt_out"):
        raise parameter_invalid("consent_type is opt_in or opt_out")
    wanted = consent == "opt_in"
    call.api.act(lambda workspace: workspace.set_subscription(contact_id, id_, wanted=wanted))
    return subscription_type(id_)


def _unsubscribe(call: ApiCall, contact_id: str, id_: str) -> dict[str, Any]:
    contact_of(call, contact_id)
    if id_ not in SUBSCRIPTIONS:
        raise not_found("Resource Not Found")
    call.api.act(lambda workspace: workspace.set_subscription(contact_id, id_, wanted=False))
    return subscription_type(id_)


def _add_note(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = contact_of(call, contact_id)
    notes = call.api.notes.setdefault(record.id, [])
    note = {
        "type": "note",
        "id": str(30_000_000 + sum(map(len, call.api.notes.values()))),
        "created_at": call.api.seconds(),
        "contact": {"type": "contact", "id": record.id},
        "author": None,
        "body": f"<p>{_needed(call, 'body')}</p>",
    }
    notes.append(note)
    call.api.noted(record.id)
    return note


def _add_attribute(call: ApiCall) -> dict[str, Any]:
    name, model, data_type = (_needed(call, field) for field in ("name", "model", "data_type"))
    options = [str(one.get("value")) for one in _entries(call, "options")]
    data_type = "string" if data_type == "options" else data_type
    if model not in data_attributes.MODELS or data_type not in data_attributes.TYPES:
        raise parameter_invalid("model or data_type is not possible")
    if (model, name) in call.api.attributes.by_name:
        raise parameter_invalid(f"You already have '{name}' in your {model} data.")
    attribute = call.api.attributes.add(model, name, data_type)
    attribute.options = options or None
    return _described(call, attribute)


def _change_attribute(call: ApiCall, id_: str) -> dict[str, Any]:
    attribute = call.api.attributes.with_id(id_)
    if attribute is None:
        raise not_found("We couldn't find that data attribute to update", "field_not_found")
    return _described(call, attribute)


def _described(call: ApiCall, attribute: data_attributes.DataAttribute) -> dict[str, Any]:
    attribute.description = str(call.body.get("description", attribute.description))
    attribute.archived = bool(call.body.get("archived", attribute.archived))
    attribute.messenger_writable = bool(call.body.get("messenger_writable", attribute.messenger_writable))
    return data_attributes.custom_form(attribute, call.api.seconds())


ROUTES: Routes = {
    ("POST", "/contacts/{}/tags"): _tag,
    ("DELETE", "/contacts/{}/tags/{}"): _untag,
    ("POST", "/tags"): _create_tag,
    ("POST", "/contacts/{}/subscriptions"): _subscribe,
    ("DELETE", "/contacts/{}/subscriptions/{}"): _unsubscribe,
    ("POST", "/contacts/{}/notes"): _add_note,
    ("POST", "/data_attributes"): _add_attribute,
    ("PUT", "/data_attributes/{}"): _change_attribute,
}
