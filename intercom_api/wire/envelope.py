"""Notification envelopes: verifies the signature, then parses the envelope. The item stays Intercom's JSON."""

import hashlib
from collections.abc import Sequence
from typing import Any

import msgspec

from intercom_api.errors import MalformedNotificationError
from intercom_api.wire import times
from intercom_api.wire.json_body import decode
from intercom_api.wire.signatures import verify
from settings.units import MS_PER_SECOND

# Ids become keys of indexes; Intercom's own are 24 to 42 characters. PostgreSQL refuses index keys over 2,704 bytes.
MAX_ID_LENGTH = 255


class Notification(msgspec.Struct, frozen=True):
    """
    One webhook envelope.

    Attributes:
        id: Intercom's; derived from the body if Intercom sent none.
        topic: Intercom's name of what happened, such as contact.user.created.
        app_id: the workspace.
        created_at: unix seconds UTC; 0 if the envelope has no time.
        item: Intercom's JSON, without NUL characters (PostgreSQL cannot store them).
    """

    id: str
    topic: str
    app_id: str
    created_at: int
    item: dict[str, Any]


def open_notification(body: bytes, signature: str | None, client_secrets: Sequence[str]) -> Notification:
    """
    Verify a webhook body, then parse it.

    Args:
        body: the request body exactly as received; re-encoded JSON has another digest.
        signature: the X-Hub-Signature header, "sha1=" and 40 hex digits; None if absent.
        client_secrets: newest first; more than one only while a secret is rotated.

    Raises:
        SignatureError: no secret matches. Answer 401.
        MalformedNotificationError: signed, but not a notification. Park it.

    Source:
        Intercom, "Webhooks" (signed notifications).
    """
    verify(body, signature, client_secrets)
    return parse(body)


def parse(body: bytes) -> Notification:
    """
    Parse a body whose signature has been verified; only topic, app_id and data.item are required.

    Raises:
        MalformedNotificationError: names the field that cannot be parsed, never its value.
    """
    envelope = _decode(body)
    data = envelope.get("data")
    item = data.get("item") if isinstance(data, dict) else None
    if not isinstance(item, dict):
        raise MalformedNotificationError("data.item", "is missing or not an object")
    return Notification(
        id=_notification_id(envelope.get("id"), body),
        topic=_text(envelope, "topic"),
        app_id=_text(envelope, "app_id"),
        created_at=_created_at(envelope),
        item=item,
    )


def parse_id(value: object, path: str) -> str:
    """
    Return an id as text; Intercom sends ids as text or as numbers.

    Args:
        value: the id.
        path: the field that it was read from, for the error.

    Raises:
        MalformedNotificationError: it is empty, too long for a key, or neither text nor a whole number.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not value:
        raise MalformedNotificationError(path, "is missing or not an id")
    if len(value) > MAX_ID_LENGTH:
        raise MalformedNotificationError(path, f"is longer than {MAX_ID_LENGTH} characters")
    return value


def _decode(body: bytes) -> dict[str, Any]:
    try:
        envelope = decode(body)
    except ValueError as error:
        raise MalformedNotificationError("$", str(error)) from None
    if not isinstance(envelope, dict):
        raise MalformedNotificationError("$", "is not an object")
    return envelope


def _notification_id(value: object, body: bytes) -> str:
    if value is None:
        return f"body:{hashlib.sha256(body).hexdigest()}"
    return parse_id(value, "id")


def _text(envelope: dict[str, Any], field: str) -> str:
    return parse_id(envelope.get(field), field)


def _created_at(envelope: dict[str, Any]) -> int:
    for field in ("created_at", "first_sent_at"):
        try:
            moment = times.milliseconds(envelope.get(field))
        except ValueError as error:
            raise MalformedNotificationError(field, str(error)) from None
        if moment is not None:
            return moment // MS_PER_SECOND
    return 0
