"""
Writing what hangs on contacts and companies: tags, subscriptions, notes, data attributes.

Source:
    Intercom's OpenAPI description 2.16, "Tags", "Subscription Types", "Notes", "Data Attributes".
"""

from typing import Any

from emulator import rest
from emulator.api import attributes
from emulator.api.calls import Call, Routes
from emulator.api.companies import record_of as company_of
from emulator.api.contacts import record_of as contact_of
from emulator.api.faults import bad_request, not_found, parameter_invalid
from emulator.api.subscriptions import subscription_type
from emulator.deeds import SUBSCRIPTIONS
from emulator.records import Tag


def _needed(call: Call, name: str) -> str:
    if not call.body.get(name):
        raise bad_request(f"{name} not specified", "parameter_not_found")
    return str(call.body[name])


def _entries(call: Call, name: str) -> list[dict[str, Any]]:
    entries = call.body.get(name) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise parameter_invalid(f"{name} must be a list of objects")
    return entries


def _known_tag(call: Call, tag_id: str) -> Tag:
    tag = call.tenant.workspace.tags.get(tag_id)
    if tag is None:
        raise not_found("Resource Not Found")
    return tag


def _tag(call: Call, contact_id: str) -> dict[str, Any]:
    contact_of(call, contact_id)
    tag = _known_tag(call, _needed(call, "id"))
    call.tenant.act(lambda workspace: workspace.tag(contact_id, tag.id))
    return rest.tag(tag)


def _untag(call: Call, contact_id: str, tag_id: str) -> dict[str, Any]:
    record, tag = contact_of(call, contact_id), _known_tag(call, tag_id)
    if tag_id not in record.tag_ids:
        raise not_found("Resource Not Found")
    call.tenant.act(lambda workspace: workspace.untag(contact_id, tag_id))
    return rest.tag(tag)


def _create_tag(call: Call) -> dict[str, Any]:
    """Create a tag, or rename one, or put it on many companies or users at once."""
    workspace, name = call.tenant.workspace, _needed(call, "name")
    if call.body.get("id"):
        tag = _known_tag(call, str(call.body["id"]))
        tag.name = name
        return rest.tag(tag)
    known = (tag.id for tag in workspace.tags.values() if tag.name.casefold() == name.casefold())
    tag = workspace.tags[next(known, None) or workspace.create_tag(name)]
    for entry in _entries(call, "companies"):
        _tag_company(call, entry, tag)
    for entry in _entries(call, "users"):
        contact_id = contact_of(call, str(entry.get("id"))).id
        change = workspace.untag if entry.get("untag") else workspace.tag
        call.tenant.act(lambda _, change=change, id_=contact_id: change(id_, tag.id))  # type: ignore[misc]
    return rest.tag(tag)


def _tag_company(call: Call, entry: dict[str, Any], tag: Tag) -> None:
    known = call.tenant.workspace.companies.values()
    id_ = entry.get("id") or next((one.id for one in known if one.values["company_id"] == entry.get("company_id")), "")
    record = company_of(call, str(id_))
    if entry.get("untag"):
        record.tag_ids.pop(tag.id, None)
    else:
        call.tenant.act(lambda workspace: workspace.tag_company(record.id, tag.id))


def _subscribe(call: Call, contact_id: str) -> dict[str, Any]:
    contact_of(call, contact_id)
    id_, consent = _needed(call, "id"), _needed(call, "consent_type")
    if id_ not in SUBSCRIPTIONS:
        raise not_found("Resource Not Found")
    if consent not in ("opt_in", "opt_out"):
        raise parameter_invalid("consent_type is opt_in or opt_out")
    wanted = consent == "opt_in"
    call.tenant.act(lambda workspace: workspace.set_subscription(contact_id, id_, wanted=wanted))
    return subscription_type(id_)


def _unsubscribe(call: Call, contact_id: str, id_: str) -> dict[str, Any]:
    contact_of(call, contact_id)
    if id_ not in SUBSCRIPTIONS:
        raise not_found("Resource Not Found")
    call.tenant.act(lambda workspace: workspace.set_subscription(contact_id, id_, wanted=False))
    return subscription_type(id_)


def _add_note(call: Call, contact_id: str) -> dict[str, Any]:
    record = contact_of(call, contact_id)
    notes = call.tenant.notes.setdefault(record.id, [])
    note = {
        "type": "note",
        "id": str(30_000_000 + sum(map(len, call.tenant.notes.values()))),
        "created_at": call.tenant.seconds(),
        "contact": {"type": "contact", "id": record.id},
        "author": None,
        "body": f"<p>{_needed(call, 'body')}</p>",
    }
    notes.append(note)
    call.tenant.noted(record.id)
    return note


def _add_attribute(call: Call) -> dict[str, Any]:
    name, model, data_type = (_needed(call, field) for field in ("name", "model", "data_type"))
    options = [str(one.get("value")) for one in _entries(call, "options")]
    data_type = "string" if data_type == "options" else data_type
    if model not in attributes.MODELS or data_type not in attributes.TYPES:
        raise parameter_invalid("model or data_type is not possible")
    if (model, name) in call.tenant.attributes.by_name:
        raise parameter_invalid(f"You already have '{name}' in your {model} data.")
    attribute = call.tenant.attributes.add(model, name, data_type)
    attribute.options = options or None
    return _described(call, attribute)


def _change_attribute(call: Call, id_: str) -> dict[str, Any]:
    attribute = call.tenant.attributes.with_id(id_)
    if attribute is None:
        raise not_found("We couldn't find that data attribute to update", "field_not_found")
    return _described(call, attribute)


def _described(call: Call, attribute: attributes.Attribute) -> dict[str, Any]:
    attribute.description = str(call.body.get("description", attribute.description))
    attribute.archived = bool(call.body.get("archived", attribute.archived))
    attribute.messenger_writable = bool(call.body.get("messenger_writable", attribute.messenger_writable))
    return attributes.custom_form(attribute, call.tenant.seconds())


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
