"""
The action that sends a message to a contact.

Intercom takes no idempotency key and has no list of messages to look one up in. So a message of which nobody knows
whether it went out is never sent again: the outcome is "unknown", and a person decides.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from sqlalchemy import select

from intercom_api.errors import NotFoundError, TransientError
from models.tables.public_tables import contacts
from workers.actions import fields
from workers.actions.definition import Action, ActionCall
from workers.actions.fields import InputField, Mistakes
from workers.actions.outcomes import ActionOutcome, done, failed, unknown

# Seconds. A contact that was just created cannot be written to for a moment.
_NOT_READY_SECONDS = 10.0

_FIELDS: dict[str, InputField] = {
    "contact_id": InputField(fields.IDENTIFIER, "Intercom's id of the contact that gets it", required=True),
    "body": InputField(fields.text(fields.LONGEST_BODY, blank=False), "what it says; may hold HTML", required=True),
    "message_type": InputField(fields.choice("in_app", "email"), "in_app if not said"),
    "subject": InputField(fields.text(), "of an e-mail, which needs one"),
    "template": InputField(fields.choice("plain", "personal"), "of an e-mail; plain if not said"),
    "from_admin_id": InputField(
        fields.ADMIN, "id of the teammate who sends it; if not said, who connected the workspace"
    ),
    "create_conversation_without_contact_reply": InputField(
        fields.TRUTH, "whether it shows in the inbox before the contact replies"
    ),
}
_OUTPUT = {"type": "object", "properties": {"message": {"type": "object"}}, "required": ["message"]}


def _check(given: Mapping[str, Any]) -> Mistakes:
    found = fields.check(_FIELDS, given)
    is_email = given.get("message_type") == "email"
    if is_email and not given.get("subject"):
        found.append(("subject", "is missing: an e-mail needs one."))
    if not is_email:
        found += [
            (name, "is for e-mails only: set `message_type` to `email`.")
            for name in ("subject", "template")
            if given.get(name)
        ]
    return found


def _send(doing: ActionCall) -> ActionOutcome:
    contact_id = str(doing.input["contact_id"])
    role = _mirrored_role(doing, contact_id) or _asked_role(doing, contact_id)
    sender = doing.input.get("from_admin_id") or doing.client.me().admin_id
    body = _body(doing.input, contact_id, role, str(sender))
    try:
        reply = doing.client.request("POST", "/messages", json=body, idempotent=False, before_send=doing.sending)
    except NotFoundError as error:
        return _nobody_there(doing, contact_id, error)
    except TransientError as error:
        if error.not_processed:
            raise
        return unknown(
            "unknown",
            "Intercom did not say whether it sent the message, so it is not sent again. Look at the contact "
            "in Intercom, and use another Idempotency-Key to send it once more.",
        )
    doing.told("POST", "/messages", reply)
    return done({"message": reply.json})


def _body(given: Mapping[str, Any], contact_id: str, role: str, sender: str) -> dict[str, Any]:
    kind = given.get("message_type") or "in_app"
    body: dict[str, Any] = {
        "message_type": kind,
        "body": given["body"],
        "from": {"type": "admin", "id": int(sender) if sender.isdigit() else sender},
        "to": {"type": role, "id": contact_id},
    }
    if kind == "email":
        body |= {"subject": given["subject"], "template": given.get("template") or "plain"}
    if given.get("create_conversation_without_contact_reply") is not None:
        body["create_conversation_without_contact_reply"] = given["create_conversation_without_contact_reply"]
    return body


def _mirrored_role(doing: ActionCall, contact_id: str) -> str | None:
    c = contacts.table.c
    query = select(c.role).where(c.workspace_id == doing.workspace_id, c.id == contact_id)
    with doing.tools.reader.connect() as connection:
        return connection.execute(query).scalar_one_or_none()


def _asked_role(doing: ActionCall, contact_id: str) -> str:
    path = f"/contacts/{quote(contact_id, safe='')}"
    reply = doing.client.request("GET", path)
    doing.told("GET", path, reply)
    return str(reply.json.get("role") or "user")


def _nobody_there(doing: ActionCall, contact_id: str, error: NotFoundError) -> ActionOutcome:
    """Tell a contact that is too new from one that is gone: Intercom answers 404 to both."""
    if error.code == "admin_not_found":
        return failed("no-such-admin", "The workspace has no teammate with the id in `from_admin_id`.", 422)
    try:
        _asked_role(doing, contact_id)
    except NotFoundError:
        return failed("not-found", "The workspace has no contact with this id.", 404, request_id=error.request_id)
    return failed(
        "not-ready",
        "Intercom does not take messages for this contact yet; it was probably just created, or is "
        "archived. Try again in a few seconds.",
        409,
        _NOT_READY_SECONDS,
    )


SEND_MESSAGE = Action(
    "send-message",
    "Send a message to a contact",
    fields.schema(_FIELDS),
    _OUTPUT,
    repeatable=False,
    check=_check,
    run=_send,
)
