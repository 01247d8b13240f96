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

# Seconds by which Intercom's clock, by which a contact was created, may be behind ours.
_CLOCKS_SECONDS = 10

_PER_PAGE = 50
_MOST_PER_PAGE = 150
_LONGEST_CURSOR = 4096

_FIELDS: dict[str, InputField] = {
    "role": InputField(fields.choice("user", "lead"), "user or lead"),
    "external_id": InputField(fields.text(), "your own id of the contact"),
    "email": InputField(fields.EMAIL, "the contact's e-mail address"),
    "phone": InputField(fields.text(), "the contact's phone number, best with country code"),
    "name": InputField(fields.text(), "the contact's name"),
    "avatar": InputField(fields.text(fields.LONGEST_BODY), "address of an image"),
    "signed_up_at": InputField(fields.SECONDS, "unix seconds"),
    "last_seen_at": InputField(fields.SECONDS, "unix seconds"),
    "owner_id": InputField(fields.ADMIN, "id of the teammate in Intercom who looks after the contact"),
    "unsubscribed_from_emails": InputField(fields.TRUTH, "whether the contact wants no e-mails"),
    "custom_attributes": InputField(fields.ATTRIBUTES, "values of custom attributes by name; times in unix seconds"),
}
_ID = {"id": InputField(fields.IDENTIFIER, "Intercom's id of the contact", required=True)}
_UPDATE = _ID | _FIELDS
_SEARCH: dict[str, InputField] = {
    "query": InputField(QUERY, "what to look for, as Intercom's contact search takes it", required=True),
    "per_page": InputField(fields.whole(1, _MOST_PER_PAGE), "contacts on a page, 50 if not said"),
    "starting_after": InputField(fields.text(_LONGEST_CURSOR), "`next` of the page before"),
}
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
    found = fields.check(_FIELDS, given)
    if not any(given.get(name) for name in ("email", "external_id", "role")):
        found.append(("", "Give at least one of `email`, `external_id` and `role`."))
    return found


def _check_update(given: Mapping[str, Any]) -> Mistakes:
    found = fields.check(_UPDATE, given)
    if not set(given) - {"id"}:
        found.append(("", "Give at least one field to be changed beside `id`."))
    return found


def _check_search(given: Mapping[str, Any]) -> Mistakes:
    found = fields.check(_SEARCH, given)
    return found or query_mistakes(given["query"])


def _create(doing: ActionCall) -> ActionOutcome:
    body = {name: value for name, value in doing.input.items() if value is not None}
    try:
        reply = doing.client.request("POST", "/contacts", json=body, before_send=doing.sending)
    except ConflictError as error:
        return _twin(doing, error)
    except TransientError as error:
        if error.not_processed:
            raise
        return _settle(doing)
    doing.told("POST", "/contacts", reply)
    return done({"contact": reply.json})


def _settle(doing: ActionCall) -> ActionOutcome:
    """
    Go on after a try of which nobody knows whether it reached Intercom.

    Who has an id or, as a user, an address of their own cannot be created twice: Intercom names the one that it has.
    """
    given = doing.input
    if not (given.get("external_id") or (given.get("email") and given.get("role") != "lead")):
        return unknown(
            "unknown",
            "Intercom did not say whether it created the contact. It has nothing by which it could be "
            "recognised, so it was not tried again. Look in Intercom, and use another Idempotency-Key to try again.",
        )
    body = {name: value for name, value in given.items() if value is not None}
    try:
        reply = doing.client.request("POST", "/contacts", json=body, before_send=doing.sending)
    except ConflictError as error:
        return _twin(doing, error, ours_is_fine=True)
    except TransientError:
        return unknown(
            "unknown",
            "Intercom did not say whether it created the contact. Ask again with the same Idempotency-Key: "
            "it will then be looked up.",
        )
    doing.told("POST", "/contacts", reply)
    return done({"contact": reply.json})


def _twin(doing: ActionCall, error: ConflictError, *, ours_is_fine: bool = False) -> ActionOutcome:
    """Say which contact is in the way, and what can be done with it."""
    more: dict[str, Any] = {"archived": error.archived}
    if error.existing_id is None:
        return failed("contact-exists", "Another contact has this external_id or e-mail address.", 409, **more)
    more["contact_id"] = error.existing_id
    try:
        path = _path(error.existing_id)
        reply = doing.client.request("GET", path)
        doing.told("GET", path, reply)
        more["archived"] = archived = bool(reply.json.get("archived", error.archived))
        if ours_is_fine and not archived and _made_since(reply, doing):
            return done({"contact": reply.json})
    except MergedError as merged:
        more["merged_into"] = merged.into
        sentence = f"These details belong to a contact that was merged. Update the contact {merged.into} instead."
        return failed("contact-exists", sentence, HTTPStatus.CONFLICT, **more)
    except IntercomError:
        archived = error.archived
    if archived:
        sentence = (
            f"An archived contact has these details. Unarchive it (POST /contacts/{error.existing_id}/unarchive"
            " through the proxy), then update it."
        )
    else:
        sentence = f"Another contact has these details. Update the contact {error.existing_id} instead."
    return failed("contact-exists", sentence, HTTPStatus.CONFLICT, **more)


def _made_since(reply: Reply, doing: ActionCall) -> bool:
    created_at = reply.json.get("created_at")
    return isinstance(created_at, int) and created_at >= doing.began_at.timestamp() - _CLOCKS_SECONDS


def _update(doing: ActionCall) -> ActionOutcome:
    path = _path(str(doing.input["id"]))
    body = {name: value for name, value in doing.input.items() if name != "id"}
    try:
        reply = doing.client.request("PUT", path, json=body, idempotent=True)
    except ConflictError as error:
        return _twin(doing, error)
    doing.told("PUT", path, reply)
    return done({"contact": reply.json})


def _get(doing: ActionCall) -> ActionOutcome:
    path = _path(str(doing.input["id"]))
    try:
        reply = doing.client.request("GET", path)
    except NotFoundError as error:
        return failed("not-found", "The workspace has no contact with this id.", 404, request_id=error.request_id)
    doing.told("GET", path, reply)
    return done({"contact": reply.json})


def _search(doing: ActionCall) -> ActionOutcome:
    paging: dict[str, Any] = {"per_page": doing.input.get("per_page") or _PER_PAGE}
    if cursor := doing.input.get("starting_after"):
        paging["starting_after"] = cursor
    body = {"query": doing.input["query"], "pagination": paging}
    reply = doing.client.request("POST", "/contacts/search", json=body)
    doing.told("POST", "/contacts/search", reply)
    after = ((reply.json.get("pages") or {}).get("next") or {}).get("starting_after")
    return done({"contacts": reply.json.get("data") or [], "total_count": reply.json.get("total_count"), "next": after})


def _path(contact_id: str) -> str:
    return f"/contacts/{quote(contact_id, safe='')}"


_SOMETHING = {"anyOf": [{"required": [name]} for name in ("email", "external_id", "role")]}
ACTIONS = (
    Action(
        "create-contact",
        "Create a contact",
        fields.schema(_FIELDS, **_SOMETHING),
        _CONTACT_OUTPUT,
        repeatable=False,
        check=_check_create,
        run=_create,
        settle=_settle,
        knows_attributes=True,
    ),
    Action(
        "update-contact",
        "Change fields of a contact",
        fields.schema(_UPDATE, minProperties=2),
        _CONTACT_OUTPUT,
        repeatable=True,
        check=_check_update,
        run=_update,
        knows_attributes=True,
    ),
    Action(
        "get-contact",
        "Get a contact by its id",
        fields.schema(_ID),
        _CONTACT_OUTPUT,
        repeatable=True,
        check=lambda given: fields.check(_ID, given),
        run=_get,
    ),
    Action(
        "search-contacts",
        "Search contacts",
        fields.schema(_SEARCH),
        _PAGE_OUTPUT,
        repeatable=True,
        check=_check_search,
        run=_search,
    ),
)
