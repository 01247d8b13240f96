"""
Routes of messages to contacts, and of conversations that contacts start.

Neither is idempotent: a repeated call sends a second message.

Source:
    Intercom's OpenAPI description 2.16, "Messages" and "Conversations".
"""

from typing import Any

from emulator.api.api_call import ApiCall, Routes
from emulator.api.api_errors import UNPROCESSABLE, ApiError, contact_not_found, not_found, parameter_invalid
from emulator.api.workspace_api import SentMessage
from emulator.api.workspace_routes import admins
from emulator.workspace_records import ContactRecord
from intercom_api.wire.times import MS_PER_SECOND

# The message types of requests, and the names of these types in responses.
_TYPES = {"in_app": "inapp", "inapp": "inapp", "email": "email"}
_FIRST_MESSAGE, _FIRST_CONVERSATION = 2_001_000_000, 215_470_000_000


def _send(call: ApiCall) -> dict[str, Any]:
    message_type = _TYPES.get(str(call.body.get("message_type")))
    if message_type is None:
        raise parameter_invalid("message_type is in_app or email")
    body, subject = call.body.get("body"), call.body.get("subject")
    if not body:
        raise parameter_invalid("Body is required")
    if message_type == "email" and not subject:
        raise ApiError(UNPROCESSABLE, "parameter_not_found", "No subject supplied for email message")
    if message_type == "email" and call.body.get("template") not in ("plain", "personal"):
        raise parameter_invalid("template is plain or personal")
    owner = _sender(call)
    to = call.body.get("to")
    records = [_receiver(call, each) for each in (to if isinstance(to, list) else [to])]
    sent = [_store(call, record, message_type, str(body), str(subject) if subject else None) for record in records]
    conversation_id = None
    if call.body.get("create_conversation_without_contact_reply") is True:
        conversation_id = _start_conversation(call, records[0], str(body))["conversation_id"]
    return {
        "type": "admin_message",
        "id": sent[0].id,
        "created_at": sent[0].at,
        **({"subject": sent[0].subject} if sent[0].subject else {}),
        "body": sent[0].body,
        "message_type": message_type,
        "conversation_id": conversation_id,
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


def _receiver(call: ApiCall, receiver: Any) -> ContactRecord:
    if not isinstance(receiver, dict) or receiver.get("type") not in ("user", "lead", "contact"):
        raise parameter_invalid("to must be a user or a lead")
    record = call.api.workspace.contacts.get(str(receiver.get("id")))
    delay_ms = call.api.switches.message_delay_seconds * MS_PER_SECOND
    if record is None or record.archived:
        raise contact_not_found()
    if call.api.workspace.now() - record.values["created_at"] < delay_ms:
        raise contact_not_found()
    return record


def _store(call: ApiCall, record: ContactRecord, message_type: str, body: str, subject: str | None) -> SentMessage:
    messages = call.api.messages
    id_ = str(_FIRST_MESSAGE + len(messages))
    messages.append(SentMessage(id_, record.id, message_type, body, subject, call.api.seconds()))
    return messages[-1]


def _start(call: ApiCall) -> dict[str, Any]:
    body = call.required("body")
    return _start_conversation(call, _receiver(call, call.body.get("from")), body)


def _start_conversation(call: ApiCall, record: ContactRecord, body: str) -> dict[str, Any]:
    conversations = call.api.conversations
    conversation = {
        "type": "user_message",
        "id": str(_FIRST_MESSAGE + 500_000_000 + len(conversations)),
        "created_at": call.api.seconds(),
        "body": body,
        "message_type": "inapp",
        "conversation_id": str(_FIRST_CONVERSATION + len(conversations)),
    }
    conversations.append(conversation | {"contact_id": record.id})
    return conversation


ROUTES: Routes = {("POST", "/messages"): _send, ("POST", "/conversations"): _start}
