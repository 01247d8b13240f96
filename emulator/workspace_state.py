"""The state of an emulated workspace: its records, clock and random numbers, and the making of its notifications."""

import random
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from emulator import notification_json
from emulator.clock import Clock, system_clock
from emulator.emulated_notification import EmulatedNotification, make_notification, notification_id
from emulator.errors import RefusedError, UnknownObjectError
from emulator.random_choice import IdPool
from emulator.workspace_records import CompanyRecord, ContactRecord, MergeRecord, TagRecord
from intercom_api.wire.times import MS_PER_SECOND

DEFAULT_WORKSPACE = "demo0001"


def _ignore_change(_: ContactRecord | CompanyRecord) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class NotificationVariants:
    """
    Choices where Intercom's behaviour is documented in two ways, or was observed to differ from the documentation.

    Attributes:
        merged_from_share: the share of contact.merged notifications that name the merged contact, 0 to 1. The
            documentation has the key; notifications of 2024 and 2026 lack it.
        merge_sends_deleted: a merge also sends contact.deleted for the merged contact.
        detached_list_precedes: the contact inside company.contact.detached still lists the company (observed in 2026).
        deletion_sends_detached: the deletion of a company sends company.contact.detached for each of its contacts.
        email_also_updated: a changed email sends contact.*.updated in addition to the email's own topic.
    """

    merged_from_share: float = 1.0
    merge_sends_deleted: bool = False
    detached_list_precedes: bool = True
    deletion_sends_detached: bool = True
    email_also_updated: bool = True


class WorkspaceState:
    """
    The records of a workspace, and what all operations need. Not thread-safe: hold a lock around each operation.

    Args:
        workspace_id: the `app_id` of the notifications.
        seed: the same seed, clock and operations give the same workspace and the same notifications, byte for byte.
        clock: milliseconds since 1970 UTC. It may stop or go back; the workspace's time then stands still.
        variants: how the notifications look.
        region: the region of the workspace: "US", "EU" or "AU".
        timezone: a name in the tz database; Intercom's search compares days of this timezone.

    Attributes:
        on_change: called after every change of a record or its links, and after a deletion.
        redirects: the id that each merged contact was merged into, by id.
    """

    def __init__(
        self,
        workspace_id: str = DEFAULT_WORKSPACE,
        seed: int | str = 1,
        clock: Clock = system_clock,
        variants: NotificationVariants | None = None,
        *,
        region: str = "US",
        timezone: str = "Etc/UTC",
    ) -> None:
        self.workspace_id = workspace_id
        self.region = region
        self.timezone = timezone
        self.on_change: Callable[[ContactRecord | CompanyRecord], None] = _ignore_change
        self.clock = clock
        self.variants = variants or NotificationVariants()
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
        Return a contact, archived or not.

        Raises:
            UnknownObjectError: it never existed, was deleted, or was merged into another.
        """
        try:
            return self.contacts[contact_id]
        except KeyError:
            raise UnknownObjectError("There is no such contact.") from None

    def active_contact(self, contact_id: str) -> ContactRecord:
        """
        Return a contact that is not archived.

        Raises:
            UnknownObjectError: as in `contact`.
            RefusedError: the contact is archived.
        """
        record = self.contact(contact_id)
        if record.archived:
            raise RefusedError("The contact is archived; unarchive it first.")
        return record

    def company(self, company_id: str) -> CompanyRecord:
        """
        Return a company.

        Raises:
            UnknownObjectError: it never existed, or was deleted.
        """
        try:
            return self.companies[company_id]
        except KeyError:
            raise UnknownObjectError("There is no such company.") from None

    def tag_with_id(self, tag_id: str) -> TagRecord:
        """
        Return a tag.

        Raises:
            UnknownObjectError: it never existed.
        """
        try:
            return self.tags[tag_id]
        except KeyError:
            raise UnknownObjectError("There is no such tag.") from None

    def new_id(self) -> str:
        """Draw an id like Intercom's: 24 hex digits that begin with the time."""
        return object_id(self.now(), self.rng)

    def mark_updated(self, record: ContactRecord | CompanyRecord) -> None:
        """Set `updated_at` to now."""
        record.values["updated_at"] = self.now()
        self.on_change(record)

    def contact_item(self, record: ContactRecord) -> dict[str, Any]:
        """Return the contact as a notification contains it now."""
        return notification_json.contact(record, self.workspace_id)

    def notification(self, topic: str, item: dict[str, Any], object_id_: str) -> EmulatedNotification:
        """Make the notification of a change at this moment."""
        id_ = notification_id(self.rng)
        return make_notification(id_, topic, self.workspace_id, self.now() // MS_PER_SECOND, item, object_id_)

    def contact_notification(self, topic: str, record: ContactRecord) -> EmulatedNotification:
        """Make a notification whose item is the complete contact."""
        return self.notification(topic, self.contact_item(record), record.id)


def object_id(created_at_ms: int, rng: random.Random) -> str:
    """Draw an id like Intercom's for an object of this time: 24 hex digits that begin with the time."""
    return f"{created_at_ms // MS_PER_SECOND:08x}{rng.getrandbits(64):016x}"
