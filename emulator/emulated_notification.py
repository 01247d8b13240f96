"""
The envelope of a notification, first attempt and retry.

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
    What Intercom would post: `body` is the JSON to sign and send.

    `id` is None for a ping; `created_at` is in unix seconds; `object_id` is the contact or company it is about.
    """

    id: str | None
    topic: str
    created_at: int
    object_id: str
    body: bytes

    @property
    def envelope(self) -> dict[str, Any]:
        """The body as an object."""
        envelope: dict[str, Any] = msgspec.json.decode(self.body)
        return envelope

    @property
    def item(self) -> dict[str, Any]:
        """The object inside, `data.item`."""
        item: dict[str, Any] = self.envelope["data"]["item"]
        return item

    def retried(self) -> "EmulatedNotification":
        """Return the second and last attempt: the same id, and a status that says so."""
        envelope = self.envelope | {"delivery_status": "retry", "delivery_attempts": 2}
        return EmulatedNotification(self.id, self.topic, self.created_at, self.object_id, _encode(envelope))


def notification_id(rng: random.Random) -> str:
    """Draw an id such as "notif_7f0c5e1a-9b1d-4d2b-9c11-3a5e0c2f7d10"."""
    return f"notif_{random_uuid(rng)}"


def notification(
    id_: str | None, topic: str, workspace_id: str, created_at: int, item: dict[str, Any], object_id: str
) -> EmulatedNotification:
    """Wrap an item; `created_at` is in unix seconds. Without an id it is a ping."""
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
    return notification(None, "ping", workspace_id, created_at, item, "")
