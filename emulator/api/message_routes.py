"""
Messages to contacts, and conversations that contacts start. Neither is idempotent: a repeated call is a second message.

Source:
    Intercom's OpenAPI description 2.16, "Messages" and "Conversations".
"""

from typing import Any

from emulator.api.api_call import ApiCall, Routes
from emulator.api.api_errors import (
    UNPROCESSABLE,
    ApiError,
    bad_request,
    contact_not_found,
    not_found,
    parameter_invalid,
)
from emulator.api.workspace_api import SentMessage
from emulator.api.workspace_routes import admins
from emulator.workspace_records import ContactRecord

# What may be asked for, and what is answered.
_TYPES = {"in_app": "inapp", "inapp": "inapp", "email": "email"}
_FIRST_MESSAGE, _FIRST_CONVERSATION = 2_001_000_000, 215_470_000_000


def _send(call: ApiCall) -> dict[str, Any]:
    kind = _TYPES.get(str(call.body.get("message_type")))
    if kind is None:
        raise parameter_invalid("message_type is in_app or email")
    body, subject = call.body.get("body"), call.body.get("subject")
    if not body:
        raise parameter_invalid("Body is required")
    if kind == "email" and not subject:
        raise ApiError(UNPROCESSABLE, "parameter_not_found", "No subject supplied for email message")
    if kind == "email" and call.body.get("template") not in ("plain", "personal"):
        raise parameter_invalid("template is plain or personal")
    owner = _sender(call)
    receivers = call.body.get("to")
    records = [_receiver(call, one) for one in (receivers if isinstance(receivers, list) else [receivers])]
    sent = [_sent(call, record, kind, str(body), str(subject) if subject else None) for record in records]
    wants_conversation = call.body.get("create_conversation_without_contact_reply") is True
    return {
        "type": "admin_message",
        "id": sent[0].id,
        "created_at": sent[0].at,
        **({"subject": sent[0].subject} if sent[0].subject else {}),
        "body": sent[0].body,
        "message_type": kind,
        "conversation_id": _conversation(call, records[0], str(body))["conversation_id"]
        if wants_conversation
        else None,
        "owner": owner,
    }


def _sender(call: ApiCall) -> dict[str, Any]:
    sender = call.body.get("from")
    if not isinstance(sender, dict) or sender.get("type") != "admin":
        raise parameter_invalid("from must be an admin")
    owner = admins().get(str(sender.get("id")))
    if owner is None:
        raise not_found("Admin not found", "admin_not_found")
    return owner


def _receiver(call: ApiCall, wanted: Any) -> ContactRecord:
    if not isinstance(wanted, dict) or wanted.get("type") not in ("user", "lead", "contact"):
        raise parameter_invalid("to must be a user or a lead")
    record = call.api.workspace.contacts.get(str(wanted.get("id")))
    delay_ms = call.api.switches.message_delay_seconds * 1000
    if record is None or record.archived:
        raise contact_not_found()
    if call.api.workspace.now() - record.values["created_at"] < delay_ms:
        raise contact_not_found()
    return record


def _sent(call: ApiCall, record: ContactRecord, kind: str, body: str, subject: str | None) -> SentMessage:
    messages = call.api.messages
    id_ = str(_FIRST_MESSAGE + len(messages))
    messages.append(SentMessage(id_, record.id, kind, body, subject, call.api.seconds()))
    return messages[-1]


def _start(call: ApiCall) -> dict[str, Any]:
    if not call.body.get("body"):
        raise bad_request("body not specified", "parameter_not_found")
    return _conversation(call, _receiver(call, call.body.get("from")), str(call.body["body"]))


def _conversation(call: ApiCall, record: ContactRecord, body: str) -> dict[str, Any]:
    conversations = call.api.conversations
    conversations.append(
        {
            "type": "user_message",
            "id": str(_FIRST_MESSAGE + 500_000_000 + len(conversations)),
            "created_at": call.api.seconds(),
            "body": body,
            "message_type": "inapp",
            "conversation_id": str(_FIRST_CONVERSATION + len(conversations)),
            "contact_id": record.id,
        }
    )
    return {name: value for name, value in conversations[-1].items() if name != "contact_id"}


ROUTES: Routes = {("POST", "/messages"): _send, ("POST", "/conversations"): _start}
