"""The actions on contacts: create, update, get, search."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from intercom_api.errors import ConflictError, IntercomError, MergedError, NotFoundError, TransientError
from intercom_api.http.replies import Reply
from workers.actions import fields
from workers.actions.definition import Action, ActionCall
from workers.actions.fields import InputField, Mistakes
from workers.actions.outcomes import ActionOutcome, done, failed, unknown
from workers.actions.search_query import QUERY, query_mistakes

# Seconds by which Intercom's clock, which sets `created_at` of a contact, may be behind ours.
_CLOCK_SKEW_SECONDS = 10

_DEFAULT_PER_PAGE = 50
# Intercom's own limit.
_MAX_PER_PAGE = 150
# Characters of a cursor.
_MAX_CURSOR_LENGTH = 4096

_FIELDS: dict[str, InputField] = {
    "role": InputField(fields.choice("user", "lead"), "user or lead"),
    "external_id": InputField(fields.text(), "your own id of the contact"),
    "email": InputField(fields.EMAIL, "the contact's e-mail address"),
    "phone": InputField(fields.text(), "the contact's phone number, preferably with country code"),
    "name": InputField(fields.text(), "the contact's name"),
    "avatar": InputField(fields.text(fields.MAX_BODY_LENGTH), "URL of an image"),
    "signed_up_at": InputField(fields.TIMESTAMP, "unix seconds"),
    "last_seen_at": InputField(fields.TIMESTAMP, "unix seconds"),
    "owner_id": InputField(fields.ADMIN_ID, "id of the teammate in Intercom who owns the contact"),
    "unsubscribed_from_emails": InputField(fields.BOOLEAN, "whether the contact has unsubscribed from e-mails"),
    "custom_attributes": InputField(fields.ATTRIBUTES, "values of custom attributes by name; times in unix seconds"),
}
_ID = {"id": InputField(fields.IDENTIFIER, "Intercom's id of the contact", required=True)}
_UPDATE = _ID | _FIELDS
_SEARCH: dict[str, InputField] = {
    "query": InputField(QUERY, "a query in the form of Intercom's contact search", required=True),
    "per_page": InputField(
        fields.integer(1, _MAX_PER_PAGE), f"contacts on a page; {_DEFAULT_PER_PAGE} if it is left out"
    ),
    "starting_after": InputField(fields.text(_MAX_CURSOR_LENGTH), "`next` of the previous page"),
}
_IDENTIFYING = ("email", "external_id", "role")
_CONTACT_OUTPUT = {"type": "object", "properties": {"contact": {"type": "object"}}, "required": ["contact"]}
_PAGE_OUTPUT = {
    "type": "object",
    "properties": {
        "contacts": {"type": "array", "items": {"type": "object"}},
        "total_count": {"type": ["integer", "null"]},
        "next": {"type": ["string", "null"]},
    },
    "required": ["contacts", "total_count", "next"],
}


def _check_create(given: Mapping[str, Any]) -> Mistakes:
    mistakes = fields.check_input(_FIELDS, given)
    if not any(given.get(name) for name in _IDENTIFYING):
        mistakes.append(("", "Give at least one of `email`, `external_id` and `role`."))
    return mistakes


def _check_update(given: Mapping[str, Any]) -> Mistakes:
    mistakes = fields.check_input(_UPDATE, given)
    if not set(given) - {"id"}:
        mistakes.append(("", "Give at least one field to change besides `id`."))
    return mistakes


def _check_search(given: Mapping[str, Any]) -> Mistakes:
    mistakes = fields.check_input(_SEARCH, given)
    return mistakes or query_mistakes(given["query"])


def _create(call: ActionCall) -> ActionOutcome:
    body = {name: value for name, value in call.input.items() if value is not None}
    try:
        reply = call.client.request("POST", "/contacts", json=body, before_send=call.mark_sending)
    except ConflictError as error:
        return _existing_contact(call, error)
    except TransientError as error:
        if error.not_processed:
            raise
        return _resolve_create(call)
    call.write_through("POST", "/contacts", reply)
    return done({"contact": reply.json})


def _resolve_create(call: ActionCall) -> ActionOutcome:
    """
    Continue after an attempt to create a contact whose request was sent, but had no response.

    A contact with an external id, or a user with an e-mail address, cannot be created twice: Intercom refuses the
    second request and names the existing contact. If that was created since the first attempt, it is ours.
    """
    given = call.input
    if not (given.get("external_id") or (given.get("email") and given.get("role") != "lead")):
        return unknown(
            "Intercom did not confirm that it created the contact. The contact has no external id or unique e-mail "
            "address to find it by, so the request was not repeated. Check in Intercom, and use another "
            "Idempotency-Key to try again."
        )
    body = {name: value for name, value in given.items() if value is not None}
    try:
        reply = call.client.request("POST", "/contacts", json=body, before_send=call.mark_sending)
    except ConflictError as error:
        return _existing_contact(call, error, may_be_ours=True)
    except TransientError:
        return unknown(
            "Intercom did not confirm that it created the contact. Repeat the request with the same Idempotency-Key "
            "to find out."
        )
    call.write_through("POST", "/contacts", reply)
    return done({"contact": reply.json})


def _existing_contact(call: ActionCall, error: ConflictError, *, may_be_ours: bool = False) -> ActionOutcome:
    """
    Return the failure that names the existing contact and what to do with it.

    Args:
        call: the attempt.
        error: Intercom's refusal.
        may_be_ours: an earlier attempt may have created the contact; then it is the result of the action.
    """
    more: dict[str, Any] = {"archived": error.archived}
    if error.existing_id is None:
        detail = "Another contact has this external_id or e-mail address."
        return failed("contact-exists", detail, HTTPStatus.CONFLICT, **more)
    more["contact_id"] = error.existing_id
    try:
        path = _contact_path(error.existing_id)
        reply = call.client.request("GET", path)
        call.write_through("GET", path, reply)
        more["archived"] = archived = bool(reply.json.get("archived", error.archived))
        if may_be_ours and not archived and _created_since(reply, call):
            return done({"contact": reply.json})
    except MergedError as merged:
        more["merged_into"] = merged.into
        detail = f"The contact with these details was merged. Update contact {merged.into} instead."
        return failed("contact-exists", detail, HTTPStatus.CONFLICT, **more)
    except IntercomError:
        archived = error.archived
    if archived:
        detail = (
            f"An archived contact has these details. Unarchive it (POST /contacts/{error.existing_id}/unarchive"
            " through the proxy), then update it."
        )
    else:
        detail = f"Another contact has these details. Update contact {error.existing_id} instead."
    return failed("contact-exists", detail, HTTPStatus.CONFLICT, **more)


def _created_since(reply: Reply, call: ActionCall) -> bool:
    created_at = reply.json.get("created_at")
    return isinstance(created_at, int) and created_at >= call.began_at.timestamp() - _CLOCK_SKEW_SECONDS


def _update(call: ActionCall) -> ActionOutcome:
    path = _contact_path(str(call.input["id"]))
    body = {name: value for name, value in call.input.items() if name != "id"}
    try:
        reply = call.client.request("PUT", path, json=body, idempotent=True)
    except ConflictError as error:
        return _existing_contact(call, error)
    call.write_through("PUT", path, reply)
    return done({"contact": reply.json})


def _get(call: ActionCall) -> ActionOutcome:
    path = _contact_path(str(call.input["id"]))
    try:
        reply = call.client.request("GET", path)
    except NotFoundError as error:
        detail = "The workspace has no contact with this id."
        return failed("not-found", detail, HTTPStatus.NOT_FOUND, request_id=error.request_id)
    call.write_through("GET", path, reply)
    return done({"contact": reply.json})


def _search(call: ActionCall) -> ActionOutcome:
    paging: dict[str, Any] = {"per_page": call.input.get("per_page") or _DEFAULT_PER_PAGE}
    if cursor := call.input.get("starting_after"):
        paging["starting_after"] = cursor
    body = {"query": call.input["query"], "pagination": paging}
    reply = call.client.request("POST", "/contacts/search", json=body)
    call.write_through("POST", "/contacts/search", reply)
    cursor = ((reply.json.get("pages") or {}).get("next") or {}).get("starting_after")
    return done(
        {"contacts": reply.json.get("data") or [], "total_count": reply.json.get("total_count"), "next": cursor}
    )


def _contact_path(contact_id: str) -> str:
    return f"/contacts/{quote(contact_id, safe='')}"


ACTIONS = (
    Action(
        "create-contact",
        "Create a contact",
        fields.schema(_FIELDS, anyOf=[{"required": [name]} for name in _IDENTIFYING]),
        _CONTACT_OUTPUT,
        repeatable=False,
        check=_check_create,
        perform=_create,
        resolve=_resolve_create,
        has_custom_attributes=True,
    ),
    Action(
        "update-contact",
        "Change fields of a contact",
        fields.schema(_UPDATE, minProperties=2),
        _CONTACT_OUTPUT,
        repeatable=True,
        check=_check_update,
        perform=_update,
        has_custom_attributes=True,
    ),
    Action(
        "get-contact",
        "Get a contact by its id",
        fields.schema(_ID),
        _CONTACT_OUTPUT,
        repeatable=True,
        check=lambda given: fields.check_input(_ID, given),
        perform=_get,
    ),
    Action(
        "search-contacts",
        "Search contacts",
        fields.schema(_SEARCH),
        _PAGE_OUTPUT,
        repeatable=True,
        check=_check_search,
        perform=_search,
    ),
)
