"""
Writing contacts: create, update, archive and back, delete, block, merge.

Source:
    Intercom's OpenAPI description 2.16, "Contacts"; the two forms of 409 as they were met in syncers.
"""

from collections.abc import Mapping
from typing import Any

from emulator.api import request_values
from emulator.api.api_call import STRINGS_AND_GONE, ApiCall, Routes
from emulator.api.api_errors import CONFLICT, ApiError, bad_request, contact_not_found, parameter_invalid
from emulator.api.api_request import ApiResponse
from emulator.api.contact_routes import form, record_of
from emulator.emulated_notification import EmulatedNotification
from emulator.random_operations import SUBSCRIPTIONS
from emulator.workspace import EmulatedWorkspace
from emulator.workspace_records import ContactRecord


def _create(call: ApiCall) -> ApiResponse:
    body = call.body
    if not any(body.get(name) for name in ("email", "external_id", "role")):
        raise bad_request("email, external_id or role is needed", "parameter_not_found")
    role = body.get("role") or "user"
    if role not in ("user", "lead"):
        raise parameter_invalid("role is user or lead")
    wanted = request_values.contact_values(body, call.api.attributes)
    _refuse_twin(call, role, wanted, None)
    told = call.api.act(lambda workspace: workspace.create_contact(role, wanted))
    return ApiResponse(content=form(call, record_of(call, told[0].object_id)))


def _refuse_twin(call: ApiCall, role: str, wanted: Mapping[str, Any], own_id: str | None) -> None:
    twin = _twin(call, role, wanted, own_id)
    if twin is not None:
        start = "An archived contact" if twin.archived else "A contact"
        raise ApiError(CONFLICT, "conflict", f"{start} matching those details already exists with id={twin.id}")


def _twin(call: ApiCall, role: str, wanted: Mapping[str, Any], own_id: str | None) -> ContactRecord | None:
    """Find who has this external_id or, for a user whose external_id is not given, this email."""
    identities = call.api.identities
    external_id, email = wanted.get("external_id"), wanted.get("email")
    found = identities.having("external_id", external_id) if external_id else []
    if not found and email and not external_id and role == "user":
        found = [record for record in identities.having("email", email) if record.role == "user"]
    return next((record for record in found if record.id != own_id), None)


def _update(call: ApiCall, contact_id: str) -> ApiResponse:
    record = record_of(call, contact_id)
    role = call.body.get("role") or record.role
    if role not in ("user", "lead"):
        raise parameter_invalid("role is user or lead")
    if (record.role, role) == ("user", "lead"):
        raise bad_request("Converting a user to a lead is not supported", "client_error")
    wanted = request_values.contact_values(call.body, call.api.attributes)
    identity = {name: value for name, value in wanted.items() if value != record.values[name]}
    _refuse_twin(call, role, identity, contact_id)
    call.api.act(lambda workspace: _changes(workspace, record, role, wanted))
    return ApiResponse(content=form(call, record))


def _changes(
    workspace: EmulatedWorkspace, record: ContactRecord, role: str, wanted: dict[str, Any]
) -> list[EmulatedNotification]:
    told: list[EmulatedNotification] = []
    if role != record.role:
        external_id = wanted.pop("external_id", None) or record.values["external_id"]
        told += workspace.sign_up_lead(record.id, external_id)
    unsubscribed = wanted.pop("unsubscribed_from_emails", None)
    told += workspace.update_contact(record.id, wanted)
    if unsubscribed is not None:
        told += workspace.set_email_consent(record.id, SUBSCRIPTIONS[0], wanted=not unsubscribed)
    return told


def _stub(record: ContactRecord, mark: str, *, marked: bool = True) -> dict[str, Any]:
    return {"type": "contact", "id": record.id, "external_id": record.values["external_id"], mark: marked}


def _archive(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = record_of(call, contact_id)
    if not record.archived:
        call.api.act(lambda workspace: workspace.archive_contact(contact_id))
    return _stub(record, "archived")


def _block(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = record_of(call, contact_id)
    _archive(call, contact_id)
    return _stub(record, "blocked")


def _unarchive(call: ApiCall, contact_id: str) -> dict[str, Any]:
    if contact_id in call.api.workspace.redirects:
        raise bad_request("User has been merged and is not restorable")
    record = call.api.workspace.contacts.get(contact_id)
    if record is None:
        raise contact_not_found()
    call.api.act(lambda workspace: workspace.unarchive_contact(contact_id))
    return _stub(record, "archived", marked=False)


def _delete(call: ApiCall, contact_id: str) -> dict[str, Any]:
    record = record_of(call, contact_id)
    call.api.act(lambda workspace: workspace.delete_contact(contact_id))
    return _stub(record, "deleted")


def _merge(call: ApiCall) -> ApiResponse:
    from_id, into_id = (_wanted_id(call, name) for name in ("from", "into"))
    known = call.api.workspace.contacts
    if from_id not in known or into_id not in known:
        raise contact_not_found()
    source, survivor = known[from_id], known[into_id]
    if (source.role, survivor.role) != ("lead", "user"):
        raise bad_request("Only a lead can be merged, and only into a user", "invalid_merge")
    strict = call.version >= STRINGS_AND_GONE and call.body.get("skip_duplicate_validation") is not True
    if strict and not any(_same(source, survivor, name) for name in ("email", "phone")):
        raise bad_request("The contacts are no duplicates by email or phone", "invalid_merge")
    call.api.act(lambda workspace: workspace.merge_contacts(from_id, into_id))
    return ApiResponse(content=form(call, survivor))


def _same(one: ContactRecord, other: ContactRecord, name: str) -> bool:
    return bool(one.values[name]) and one.values[name] == other.values[name]


def _wanted_id(call: ApiCall, name: str) -> str:
    if not call.body.get(name):
        raise bad_request(f"{name} not specified", "parameter_not_found")
    return str(call.body[name])


ROUTES: Routes = {
    ("POST", "/contacts"): _create,
    ("POST", "/contacts/merge"): _merge,
    ("PUT", "/contacts/{}"): _update,
    ("DELETE", "/contacts/{}"): _delete,
    ("POST", "/contacts/{}/archive"): _archive,
    ("POST", "/contacts/{}/unarchive"): _unarchive,
    ("POST", "/contacts/{}/block"): _block,
}
