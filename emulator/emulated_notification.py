"""
Notifications as Intercom sends them: the envelope, the first attempt and the retry.

Source:
    Intercom, "Webhook models" (notification event) and "Webhook notifications" (retries).
"""

import random
from dataclasses import dataclass
from typing import Any

import msgspec

from emulator.random_choice import random_uuid

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class EmulatedNotification:
    """
    One notification.

    Attributes:
        id: the notification id; None for a ping.
        topic: the topic.
        created_at: the time of the change in unix seconds.
        object_id: the id of the contact or company that changed; empty for a ping.
        body: the JSON to sign and post.
    """

    id: str | None
    topic: str
    created_at: int
    object_id: str
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        """The decoded body."""
        envelope: dict[str, Any] = msgspec.json.decode(self.body)
        return envelope

    @property
    def item(self) -> dict[str, Any]:
        """The object in the envelope, `data.item`."""
        item: dict[str, Any] = self.envelope["data"]["item"]
        return item

    def as_retry(self) -> "EmulatedNotification":
        """Return the second and last attempt, which has the same id and another status."""
        envelope = self.envelope | {"delivery_status": "retry", "delivery_attempts": 2}
        return EmulatedNotification(self.id, self.topic, self.created_at, self.object_id, _encode(envelope))


def notification_id(rng: random.Random) -> str:
    """Draw an id such as "notif_7f0c5e1a-9b1d-4d2b-9c11-3a5e0c2f7d10"."""
    return f"notif_{random_uuid(rng)}"


def make_notification(
    id_: str | None, topic: str, workspace_id: str, created_at: int, item: dict[str, Any], object_id: str
) -> EmulatedNotification:
    """
    Wrap an item in an envelope.

    Args:
        id_: the notification id; None: it is a ping.
        topic: the topic.
        workspace_id: the `app_id`.
        created_at: the time of the change in unix seconds.
        item: the object in the form of the topic.
        object_id: the id of the contact or company that changed.
    """
    envelope = {
        "type": "notification_event",
        "app_id": workspace_id,
        "data": {"type": "notification_event_data", "item": item},
        "links": {},
        "id": id_,
        "topic": topic,
        "delivery_status": None if id_ is None else "pending",
        "delivery_attempts": 1,
        "delivered_at": 0,
        "first_sent_at": created_at,
        "created_at": created_at,
        "self": None,
    }
    return EmulatedNotification(id_, topic, created_at, object_id, _encode(envelope))


def ping(workspace_id: str, created_at: int) -> EmulatedNotification:
    """Return Intercom's test notification, word for word."""
    item = {"type": "ping", "message": "something something interzen"}
    return make_notification(None, "ping", workspace_id, created_at, item, "")
