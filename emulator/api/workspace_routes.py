"""
What a workspace has beside contacts and companies: tags, segments, attributes, admins, subscription types, itself.

Source:
    Intercom's OpenAPI description 2.16, "Tags", "Segments", "Data Attributes", "Admins", "Subscription Types".
"""

from typing import Any

from emulator import rest_json, segments
from emulator.api.api_call import ApiCall, Routes
from emulator.api.api_errors import UNPROCESSABLE, ApiError, not_found
from emulator.api.data_attributes import MODELS
from emulator.api.subscriptions import subscription_types
from emulator.fake_data import OWNERS

# When every pretend workspace was made: 2023-01-01 UTC, in unix seconds.
_MADE_AT = 1_672_531_200
# The admin to whom every token belongs.
_ADMIN_ID = str(OWNERS[0])


def admins() -> dict[str, dict[str, Any]]:
    """Return the admins by id, in the form of GET /admins."""
    ids = [str(id_) for id_ in OWNERS if id_ is not None]
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
        "created_at": _MADE_AT,
        "secure": False,
        "identity_verification": False,
        "timezone": workspace.timezone,
        "region": workspace.region,
    }
    return admins()[_ADMIN_ID] | {"email_verified": True, "app": app}


def _admins(_: ApiCall) -> dict[str, Any]:
    return {"type": "admin.list", "admins": list(admins().values())}


def _one_admin(_: ApiCall, admin_id: str) -> dict[str, Any]:
    if admin_id not in admins():
        raise not_found("Admin not found", "admin_not_found")
    return admins()[admin_id]


def _tags(call: ApiCall) -> dict[str, Any]:
    return {"type": "list", "data": [rest_json.tag(tag) for tag in call.api.workspace.tags.values()]}


def _tag(call: ApiCall, tag_id: str) -> dict[str, Any]:
    if tag_id not in call.api.workspace.tags:
        raise not_found()
    return rest_json.tag(call.api.workspace.tags[tag_id])


def _segments(call: ApiCall) -> dict[str, Any]:
    return {"type": "segment.list", "segments": [_counted(call, id_) for id_ in segments.ALL]}


def _segment(call: ApiCall, segment_id: str) -> dict[str, Any]:
    if segment_id not in segments.ALL:
        raise not_found()
    return _counted(call, segment_id)


def _counted(call: ApiCall, segment_id: str) -> dict[str, Any]:
    form = rest_json.segment(segments.ALL[segment_id])
    if call.query.get("include_count") != "true":
        return form
    if segment_id in segments.CONTACT_SEGMENTS:
        call.api.index.refresh()
        return form | {"count": len(call.api.index.words.get(("segment_id", segment_id), ()))}
    records = call.api.workspace.companies.values()
    return form | {"count": sum(segments.ALL[segment_id].holds(record.values) for record in records)}


def _attributes(call: ApiCall) -> dict[str, Any]:
    model = call.query.get("model")
    if model is not None and model not in MODELS:
        raise ApiError(UNPROCESSABLE, "parameter_invalid", f"model {model} is not supported")
    archived = call.query.get("include_archived") == "true"
    shown = [call.api.attributes.shown(one, _MADE_AT, archived=archived) for one in ([model] if model else MODELS)]
    return {"type": "list", "data": [form for forms in shown for form in forms]}


def _subscription_types(_: ApiCall) -> dict[str, Any]:
    return {"type": "list", "data": subscription_types()}


ROUTES: Routes = {
    ("GET", "/me"): _me,
    ("GET", "/admins"): _admins,
    ("GET", "/admins/{}"): _one_admin,
    ("GET", "/tags"): _tags,
    ("GET", "/tags/{}"): _tag,
    ("GET", "/segments"): _segments,
    ("GET", "/segments/{}"): _segment,
    ("GET", "/data_attributes"): _attributes,
    ("GET", "/subscription_types"): _subscription_types,
}
