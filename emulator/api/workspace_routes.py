"""
Routes of the workspace itself: admins, tags, segments, data attributes, subscription types.

Source:
    Intercom's OpenAPI description 2.16, "Admins", "Tags", "Segments", "Data Attributes", "Subscription Types".
"""

from typing import Any

from emulator import rest_json, segments
from emulator.api.api_call import ApiCall, Routes
from emulator.api.api_errors import UNPROCESSABLE, ApiError, company_not_found, not_found, parameter_invalid
from emulator.api.contact_routes import find_contact
from emulator.api.data_attributes import MODELS, TYPES, DataAttribute, attribute_json
from emulator.fake_data import OWNER_IDS
from emulator.subscription_types import SUBSCRIPTION_TYPE_IDS, subscription_type
from emulator.workspace_records import TagRecord

# When every emulated workspace was created: 2023-01-01 UTC, in unix seconds.
_CREATED_AT = 1_672_531_200
# The admin that every token belongs to.
_ADMIN_ID = str(OWNER_IDS[0])


def admins() -> dict[str, dict[str, Any]]:
    """Return the admins by id, in the form of GET /admins."""
    ids = [str(id_) for id_ in OWNER_IDS if id_ is not None]
    return {id_: _admin(id_, f"Admin {number}") for number, id_ in enumerate(ids, start=1)}


def _admin(id_: str, name: str) -> dict[str, Any]:
    return {
        "type": "admin",
        "id": id_,
        "name": name,
        "email": f"admin{id_}@orchard.example",
        "job_title": "Support",
        "away_mode_enabled": False,
        "away_mode_reassign": False,
        "has_inbox_seat": True,
        "team_ids": [],
        "avatar": None,
        "team_priority_level": None,
    }


def _me(call: ApiCall) -> dict[str, Any]:
    workspace = call.api.workspace
    app = {
        "type": "app",
        "id_code": workspace.workspace_id,
        "name": f"Workspace {workspace.workspace_id}",
        "created_at": _CREATED_AT,
        "secure": False,
        "identity_verification": False,
        "timezone": workspace.timezone,
        "region": workspace.region,
    }
    return admins()[_ADMIN_ID] | {"email_verified": True, "app": app}


def _list_admins(_: ApiCall) -> dict[str, Any]:
    return {"type": "admin.list", "admins": list(admins().values())}


def _get_admin(_: ApiCall, admin_id: str) -> dict[str, Any]:
    if admin_id not in admins():
        raise not_found("Admin not found", "admin_not_found")
    return admins()[admin_id]


def find_tag(call: ApiCall, tag_id: str) -> TagRecord:
    """
    Return the tag with this id.

    Raises:
        ApiError: 404.
    """
    tag = call.api.workspace.tags.get(tag_id)
    if tag is None:
        raise not_found("Resource Not Found")
    return tag


def _list_tags(call: ApiCall) -> dict[str, Any]:
    return {"type": "list", "data": [rest_json.tag(tag) for tag in call.api.workspace.tags.values()]}


def _get_tag(call: ApiCall, tag_id: str) -> dict[str, Any]:
    return rest_json.tag(find_tag(call, tag_id))


def _write_tag(call: ApiCall) -> dict[str, Any]:
    """Create a tag, rename one, or add one to (remove one from) many companies or users at once."""
    workspace, name = call.api.workspace, call.required("name")
    if call.body.get("id"):
        tag = find_tag(call, str(call.body["id"]))
        tag.name = name
        return rest_json.tag(tag)
    same_name = (tag.id for tag in workspace.tags.values() if tag.name.casefold() == name.casefold())
    tag = workspace.tags[next(same_name, None) or workspace.create_tag(name)]
    for entry in _entries(call, "companies"):
        _tag_company(call, entry, tag)
    for entry in _entries(call, "users"):
        contact_id = find_contact(call, str(entry.get("id"))).id
        operation = workspace.untag if entry.get("untag") else workspace.tag
        call.api.act(lambda _, operation=operation, id_=contact_id: operation(id_, tag.id))  # type: ignore[misc]
    return rest_json.tag(tag)


def _tag_company(call: ApiCall, entry: dict[str, Any], tag: TagRecord) -> None:
    companies, company_id = call.api.workspace.companies, entry.get("company_id")
    with_company_id = (each.id for each in companies.values() if each.values["company_id"] == company_id)
    record = companies.get(str(entry.get("id") or next(with_company_id, "")))
    if record is None:
        raise company_not_found()
    if entry.get("untag"):
        record.tag_ids.pop(tag.id, None)
    else:
        call.api.act(lambda workspace: workspace.tag_company(record.id, tag.id))


def _entries(call: ApiCall, name: str) -> list[dict[str, Any]]:
    """Return a list of objects in the body; an empty one if the field is absent."""
    entries = call.body.get(name) or []
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise parameter_invalid(f"{name} must be a list of objects")
    return entries


def _list_segments(call: ApiCall) -> dict[str, Any]:
    return {"type": "segment.list", "segments": [_segment_json(call, id_) for id_ in segments.ALL]}


def _get_segment(call: ApiCall, segment_id: str) -> dict[str, Any]:
    if segment_id not in segments.ALL:
        raise not_found()
    return _segment_json(call, segment_id)


def _segment_json(call: ApiCall, segment_id: str) -> dict[str, Any]:
    item = rest_json.segment(segments.ALL[segment_id])
    if call.query.get("include_count") != "true":
        return item
    if segment_id in segments.CONTACT_SEGMENTS:
        call.api.index.refresh()
        return item | {"count": len(call.api.index.terms.get(("segment_id", segment_id), ()))}
    records = call.api.workspace.companies.values()
    return item | {"count": sum(segments.ALL[segment_id].contains(record.values) for record in records)}


def _list_attributes(call: ApiCall) -> dict[str, Any]:
    model = call.query.get("model")
    if model is not None and model not in MODELS:
        raise ApiError(UNPROCESSABLE, "parameter_invalid", f"model {model} is not supported")
    archived = call.query.get("include_archived") == "true"
    models = [model] if model else MODELS
    items = [item for each in models for item in call.api.attributes.list_json(each, _CREATED_AT, archived=archived)]
    return {"type": "list", "data": items}


def _add_attribute(call: ApiCall) -> dict[str, Any]:
    name, model, data_type = (call.required(field) for field in ("name", "model", "data_type"))
    options = [str(entry.get("value")) for entry in _entries(call, "options")]
    data_type = "string" if data_type == "options" else data_type
    if model not in MODELS or data_type not in TYPES:
        raise parameter_invalid("model or data_type is not possible")
    if (model, name) in call.api.attributes.by_name:
        raise parameter_invalid(f"You already have '{name}' in your {model} data.")
    attribute = call.api.attributes.add(model, name, data_type)
    attribute.options = options or None
    return _set_attribute(call, attribute)


def _change_attribute(call: ApiCall, id_: str) -> dict[str, Any]:
    attribute = call.api.attributes.with_id(id_)
    if attribute is None:
        raise not_found("We couldn't find that data attribute to update", "field_not_found")
    return _set_attribute(call, attribute)


def _set_attribute(call: ApiCall, attribute: DataAttribute) -> dict[str, Any]:
    attribute.description = str(call.body.get("description", attribute.description))
    attribute.archived = bool(call.body.get("archived", attribute.archived))
    attribute.messenger_writable = bool(call.body.get("messenger_writable", attribute.messenger_writable))
    return attribute_json(attribute, call.api.seconds())


def _list_subscription_types(_: ApiCall) -> dict[str, Any]:
    return {"type": "list", "data": [subscription_type(id_) for id_ in SUBSCRIPTION_TYPE_IDS]}


ROUTES: Routes = {
    ("GET", "/me"): _me,
    ("GET", "/admins"): _list_admins,
    ("GET", "/admins/{}"): _get_admin,
    ("GET", "/tags"): _list_tags,
    ("GET", "/tags/{}"): _get_tag,
    ("POST", "/tags"): _write_tag,
    ("GET", "/segments"): _list_segments,
    ("GET", "/segments/{}"): _get_segment,
    ("GET", "/data_attributes"): _list_attributes,
    ("POST", "/data_attributes"): _add_attribute,
    ("PUT", "/data_attributes/{}"): _change_attribute,
    ("GET", "/subscription_types"): _list_subscription_types,
}
