"""The state of a pretend workspace: its records, its clock, its dice, and how it tells what happened."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emulator import notification_json
from emulator.clock import Clock, system_clock
from emulator.emulated_notification import EmulatedNotification, notification, notification_id
from emulator.errors import RefusedError, UnknownObjectError
from emulator.random_choice import IdPool, random_uuid
from emulator.workspace_records import CompanyRecord, ContactRecord, MergeRecord, TagRecord

DEFAULT_WORKSPACE = "demo0001"


def _unwatched(_: ContactRecord | CompanyRecord) -> None:
    """Nobody wants to know."""


@dataclass(frozen=True)
class NotificationVariants:
    """
    Where Intercom's own behaviour is documented in two ways, or was seen to differ; each can be chosen.

    Attributes:
        merged_from_share: how many of the contact.merged notifications name the contact that vanished, 0 to 1. The
            documentation has the key, notifications of 2024 and 2026 lacked it.
        merge_tells_deleted: also send contact.deleted for the contact that vanished.
        detached_list_precedes: the contact inside company.contact.detached still lists the company (seen in 2026).
        tell_detachments_of_deleted: a company that is deleted sends company.contact.detached for each of its contacts.
        email_also_updated: a changed email sends contact.*.updated beside the email's own topic.
    """

    merged_from_share: float = 1.0
    merge_tells_deleted: bool = False
    detached_list_precedes: bool = True
    tell_detachments_of_deleted: bool = True
    email_also_updated: bool = True


class WorkspaceState:
    """
    Records, and what every action needs of them. Not safe for several threads: hold a lock around each action.

    Args:
        workspace_id: `app_id` of the notifications.
        seed: the same seed, clock and actions give the same workspace and the same notifications, byte for byte.
        clock: milliseconds since 1970 UTC. It may stand still; where it goes back, the workspace's time stands still.
        habits: see there.
        region: where the workspace's data are: "US", "EU" or "AU".
        timezone: its name in the tz database; the days of Intercom's search are days there.
    """

    def __init__(
        self,
        workspace_id: str = DEFAULT_WORKSPACE,
        seed: int | str = 1,
        clock: Clock = system_clock,
        habits: NotificationVariants | None = None,
        *,
        region: str = "US",
        timezone: str = "Etc/UTC",
    ) -> None:
        self.workspace_id = workspace_id
        self.region = region
        self.timezone = timezone
        # Called after every change of a record or its links, also when it is gone.
        self.on_change: Callable[[ContactRecord | CompanyRecord], None] = _unwatched
        self.clock = clock
        self.habits = habits or NotificationVariants()
        self.rng = random.Random(seed)  # noqa: S311 -- it must be repeatable, it guards nothing
        self.contacts: dict[str, ContactRecord] = {}
        self.companies: dict[str, CompanyRecord] = {}
        self.tags: dict[str, TagRecord] = {}
        self.users, self.leads, self.archived, self.company_pool, self.tag_pool = (IdPool() for _ in range(5))
        self.redirects: dict[str, str] = {}
        self.merges: list[MergeRecord] = []
        self.deleted_contacts: dict[str, None] = {}
        self.deleted_companies: dict[str, None] = {}
        self._latest = 0

    def now(self) -> int:
        """Return the workspace's time in milliseconds; it never goes back."""
        self._latest = max(self._latest, self.clock())
        return self._latest

    def contact(self, contact_id: str) -> ContactRecord:
        """
        Return a contact that exists, archived or not.

        Raises:
            UnknownObjectError: it never was, was deleted, or was merged into another.
        """
        try:
            return self.contacts[contact_id]
        except KeyError:
            raise UnknownObjectError("There is no such contact.") from None

    def active_contact(self, contact_id: str) -> ContactRecord:
        """
        Return a contact that is not archived.

        Raises:
            UnknownObjectError: as for `contact`.
            RefusedError: it is archived; unarchive it first.
        """
        record = self.contact(contact_id)
        if record.archived:
            raise RefusedError("The contact is archived; unarchive it first.")
        return record

    def company(self, company_id: str) -> CompanyRecord:
        """
        Return a company that exists.

        Raises:
            UnknownObjectError: it never was, or was deleted.
        """
        try:
            return self.companies[company_id]
        except KeyError:
            raise UnknownObjectError("There is no such company.") from None

    def tag_named(self, tag_id: str) -> TagRecord:
        """
        Return the tag with this id.

        Raises:
            UnknownObjectError: there is none.
        """
        try:
            return self.tags[tag_id]
        except KeyError:
            raise UnknownObjectError("There is no such tag.") from None

    def new_id(self) -> str:
        """Draw an id as Intercom makes them: 24 hex digits that begin with the time."""
        return f"{self.now() // 1000:08x}{self.rng.getrandbits(64):016x}"

    def new_uuid(self) -> str:
        """Draw a random UUID, as Intercom gives leads for their external_id."""
        return random_uuid(self.rng)

    def touch(self, record: ContactRecord | CompanyRecord) -> None:
        """Mark a change: `updated_at` moves to now."""
        record.values["updated_at"] = self.now()
        self.on_change(record)

    def contact_item(self, record: ContactRecord) -> dict[str, Any]:
        """Return the contact as notifications show it now."""
        return notification_json.contact(record, self.workspace_id)

    def tell(self, topic: str, item: dict[str, Any], object_id: str) -> EmulatedNotification:
        """Make the notification of something that happened now."""
        id_ = notification_id(self.rng)
        return notification(id_, topic, self.workspace_id, self.now() // 1000, item, object_id)

    def tell_contact(self, topic: str, record: ContactRecord) -> EmulatedNotification:
        """Make a notification whose item is the whole contact."""
        return self.tell(topic, self.contact_item(record), record.id)
