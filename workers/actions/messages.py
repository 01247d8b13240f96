"""
The action that sends a message to a contact.

Intercom accepts no idempotency key, and no list of sent messages can be searched. So a message whose request was sent
without a response is never sent again: the outcome is "unknown", and the user decides.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from sqlalchemy import select

from intercom_api.errors import NotFoundError, TransientError
from models.tables.public_tables import contacts
from workers.actions import fields
from workers.actions.definition import Action, ActionCall
from workers.actions.fields import InputField, Mistakes
from workers.actions.outcomes import ActionOutcome, done, failed, unknown

# Seconds after which to try again: Intercom refuses messages to a contact for a moment after it was created.
_NOT_READY_SECONDS = 10.0

_FIELDS: dict[str, InputField] = {
    "contact_id": InputField(fields.IDENTIFIER, "Intercom's id of the recipient", required=True),
    "body": InputField(
        fields.text(fields.MAX_BODY_LENGTH, blank=False), "the text of the message; may contain HTML", required=True
    ),
    "message_type": InputField(fields.choice("in_app", "email"), "in_app if it is left out"),
    "subject": InputField(fields.text(), "subject of an e-mail, for which it is required"),
    "template": InputField(fields.choice("plain", "personal"), "template of an e-mail; plain if it is left out"),
    "from_admin_id": InputField(
        fields.ADMIN_ID, "id of the sending teammate; if it is left out, the teammate who connected the workspace"
    ),
    "create_conversation_without_contact_reply": InputField(
        fields.BOOLEAN, "whether the message shows in the inbox before the contact replies"
    ),
}
_OUTPUT = {"type": "object", "properties": {"message": {"type": "object"}}, "required": ["message"]}


def _check(given: Mapping[str, Any]) -> Mistakes:
    mistakes = fields.check_input(_FIELDS, given)
    is_email = given.get("message_type") == "email"
    if is_email and not given.get("subject"):
        mistakes.append(("subject", "is missing: an e-mail needs one."))
    if not is_email:
        mistakes += [
            (name, "is only for e-mails: set `message_type` to `email`.")
            for name in ("subject", "template")
            if given.get(name)
        ]
    return mistakes


def _send(call: ActionCall) -> ActionOutcome:
    contact_id = str(call.input["contact_id"])
    role = _mirrored_role(call, contact_id) or _fetch_role(call, contact_id)
    sender = call.input.get("from_admin_id") or call.client.me().admin_id
    body = _request_body(call.input, contact_id, role, str(sender))
    try:
        reply = call.client.request("POST", "/messages", json=body, idempotent=False, before_send=call.mark_sending)
    except NotFoundError as error:
        return _not_found(call, contact_id, error)
    except TransientError as error:
        if error.not_processed:
            raise
        return unknown(
            "Intercom did not confirm that it sent the message, so it is not sent again. Check the contact in "
            "Intercom, and use another Idempotency-Key to send the message again."
        )
    call.write_through("POST", "/messages", reply)
    return done({"message": reply.json})


def _request_body(given: Mapping[str, Any], contact_id: str, role: str, sender: str) -> dict[str, Any]:
    message_type = given.get("message_type") or "in_app"
    body: dict[str, Any] = {
        "message_type": message_type,
        "body": given["body"],
        "from": {"type": "admin", "id": int(sender) if sender.isdigit() else sender},
        "to": {"type": role, "id": contact_id},
    }
    if message_type == "email":
        body |= {"subject": given["subject"], "template": given.get("template") or "plain"}
    if given.get("create_conversation_without_contact_reply") is not None:
        body["create_conversation_without_contact_reply"] = given["create_conversation_without_contact_reply"]
    return body


def _mirrored_role(call: ActionCall, contact_id: str) -> str | None:
    c = contacts.table.c
    query = select(c.role).where(c.workspace_id == call.workspace_id, c.id == contact_id)
    with call.context.reader.connect() as connection:
        return connection.execute(query).scalar_one_or_none()


def _fetch_role(call: ActionCall, contact_id: str) -> str:
    path = f"/contacts/{quote(contact_id, safe='')}"
    reply = call.client.request("GET", path)
    call.write_through("GET", path, reply)
    return str(reply.json.get("role") or "user")


def _not_found(call: ActionCall, contact_id: str, error: NotFoundError) -> ActionOutcome:
    """Distinguish a contact that is too new from one that is gone: Intercom responds with 404 for both."""
    if error.code == "admin_not_found":
        detail = "The workspace has no teammate with the id in `from_admin_id`."
        return failed("no-such-admin", detail, HTTPStatus.UNPROCESSABLE_ENTITY)
    try:
        _fetch_role(call, contact_id)
    except NotFoundError:
        detail = "The workspace has no contact with this id."
        return failed("not-found", detail, HTTPStatus.NOT_FOUND, request_id=error.request_id)
    return failed(
        "not-ready",
        "Intercom does not accept messages to this contact yet. It was probably just created, or it is archived. Try "
        "again in a few seconds.",
        HTTPStatus.CONFLICT,
        _NOT_READY_SECONDS,
    )


SEND_MESSAGE = Action(
    "send-message",
    "Send a message to a contact",
    fields.schema(_FIELDS),
    _OUTPUT,
    repeatable=False,
    check=_check,
    perform=_send,
)
