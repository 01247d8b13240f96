"""
One complete notification for every mirrored topic and for ping: `intercom-mirror trigger TOPIC` sends them.

All examples are about the same few objects, so that an "updated" or a "deleted" can follow a "created".
"""

import random
from collections.abc import Callable
from typing import Any

from emulator import fake_data, random_operations
from emulator.clock import ManualClock
from emulator.emulated_notification import EmulatedNotification, notification_id, ping
from emulator.subscription_types import SUBSCRIPTION_TYPE_IDS
from emulator.workspace import EmulatedWorkspace
from emulator.workspace_state import DEFAULT_WORKSPACE
from intercom_api.wire.times import MS_PER_SECOND

# The time of creation of the objects: Monday, 2026-01-05, 08:00 UTC, in milliseconds. It is fixed because ids begin
# with the time.
_CREATED_AT = 1_767_600_000_000
# Any number would do: it decides the invented names.
_SEED = 42
_NEWSLETTER = SUBSCRIPTION_TYPE_IDS[0]


class ExampleWorkspace:
    """A small workspace whose objects are the same each time; its methods cause the notifications of the examples."""

    def __init__(self, workspace_id: str) -> None:
        self.clock = ManualClock(_CREATED_AT)
        self.workspace = EmulatedWorkspace(workspace_id, _SEED, self.clock)
        rng = self.workspace.rng
        self.tag, self.other_tag = self.workspace.create_tag("vip"), self.workspace.create_tag("trial")
        self.company, self.other_company = (
            random_operations.create_company(self.workspace, rng)[0].object_id for _ in range(2)
        )
        named = {"name": "Mira Lind", "phone": "+12025550142", "owner_id": fake_data.OWNER_IDS[0]}
        self.user = self.workspace.create_contact("user", fake_data.random_person(rng) | named)[0].object_id
        self.lead = self.workspace.create_contact("lead", fake_data.random_visitor(rng))[0].object_id
        for contact_id in (self.user, self.lead):
            self.workspace.attach(contact_id, self.company)
            self.workspace.tag(contact_id, self.tag)

    def notify_contact(self, topic: str, contact_id: str) -> list[EmulatedNotification]:
        """Return the notification of a contact as it is, as if it had just changed."""
        record = self.workspace.contacts[contact_id]
        self.workspace.mark_updated(record)
        return [self.workspace.contact_notification(topic, record)]

    def notify_company(self, topic: str, company_id: str) -> list[EmulatedNotification]:
        """Return the notification of a company as it is, as if it had just changed."""
        record = self.workspace.companies[company_id]
        self.workspace.mark_updated(record)
        return [self.workspace.company_notification(topic, record)]

    def tag_and_untag(self, contact_id: str) -> list[EmulatedNotification]:
        """Add a tag to a contact and remove it."""
        return [*self.workspace.tag(contact_id, self.other_tag), *self.workspace.untag(contact_id, self.other_tag)]

    def attach_and_detach(self) -> list[EmulatedNotification]:
        """Attach the user to a company and detach it."""
        link = self.user, self.other_company
        return [*self.workspace.attach(*link), *self.workspace.detach(*link)]

    def archive_and_unarchive(self) -> list[EmulatedNotification]:
        """Archive the user and unarchive it."""
        return [*self.workspace.archive_contact(self.user), *self.workspace.unarchive_contact(self.user)]

    def change_email_consent(self) -> list[EmulatedNotification]:
        """Unsubscribe the user from emails and subscribe it again."""
        change = self.workspace.set_email_consent
        off, on = (change(self.user, _NEWSLETTER, subscribed=subscribed) for subscribed in (False, True))
        return [*off, *on]

    def change_subscription(self) -> list[EmulatedNotification]:
        """Unsubscribe the user from one subscription type and subscribe it again."""
        change = self.workspace.set_subscription
        off, on = (change(self.user, _NEWSLETTER, subscribed=subscribed) for subscribed in (False, True))
        return [*off, *on]


Cause = Callable[[ExampleWorkspace], list[EmulatedNotification]]

# What causes the notification of each topic. Some cause notifications of other topics as well.
_CAUSES: dict[str, Cause] = {
    "contact.user.created": lambda its: its.notify_contact("contact.user.created", its.user),
    "contact.user.updated": lambda its: its.workspace.update_contact(its.user, {"name": "Mira Example"}),
    "contact.user.tag.created": lambda its: its.tag_and_untag(its.user),
    "contact.user.tag.deleted": lambda its: its.tag_and_untag(its.user),
    "contact.lead.created": lambda its: its.notify_contact("contact.lead.created", its.lead),
    "contact.lead.updated": lambda its: its.workspace.update_contact(its.lead, {"name": "Lena Example"}),
    "contact.lead.added_email": lambda its: its.workspace.update_contact(its.lead, {"email": "lena@lantern.example"}),
    "contact.lead.signed_up": lambda its: its.workspace.sign_up_lead(its.lead, "cust_lena"),
    "contact.lead.tag.created": lambda its: its.tag_and_untag(its.lead),
    "contact.lead.tag.deleted": lambda its: its.tag_and_untag(its.lead),
    "contact.email.updated": lambda its: its.workspace.update_contact(its.user, {"email": "mira@lantern.example"}),
    "contact.merged": lambda its: its.workspace.merge_contacts(its.lead, its.user),
    "contact.archived": ExampleWorkspace.archive_and_unarchive,
    "contact.unarchived": ExampleWorkspace.archive_and_unarchive,
    "contact.deleted": lambda its: its.workspace.delete_contact(its.lead),
    "contact.subscribed": ExampleWorkspace.change_email_consent,
    "contact.unsubscribed": ExampleWorkspace.change_email_consent,
    "contact.unsubscribed_from_sms": lambda its: its.workspace.unsubscribe_from_sms(its.user),
    "granular.subscribe": ExampleWorkspace.change_subscription,
    "granular.unsubscribe": ExampleWorkspace.change_subscription,
    "visitor.signed_up": lambda its: random_operations.sign_up_visitor(its.workspace, its.workspace.rng),
    "company.created": lambda its: its.notify_company("company.created", its.company),
    "company.updated": lambda its: its.workspace.update_company(its.company, {"size": 41, "website": None}),
    "company.deleted": lambda its: its.workspace.delete_company(its.company),
    "company.contact.attached": ExampleWorkspace.attach_and_detach,
    "company.contact.detached": ExampleWorkspace.attach_and_detach,
}

# Names of topics on old pages of Intercom's documentation, and the names on the wire.
_OLD_NAMES = {"contact.archive": "contact.archived", "contact.unarchive": "contact.unarchived"}

TOPICS = (*_CAUSES, *_OLD_NAMES, "ping")


def example(topic: str, now: float, workspace_id: str = DEFAULT_WORKSPACE) -> dict[str, Any]:
    """
    Return a complete notification, envelope included.

    Args:
        topic: one of TOPICS.
        now: the time of the change in unix seconds. Another time gives another notification id.
        workspace_id: the `app_id`.

    Raises:
        KeyError: there is no example of this topic.
    """
    if topic == "ping":
        return ping(workspace_id, int(now)).envelope
    wire_topic = _OLD_NAMES.get(topic, topic)
    cause = _CAUSES[wire_topic]
    example_workspace = ExampleWorkspace(workspace_id)
    example_workspace.clock.now = round(now * MS_PER_SECOND)
    notification = next(each for each in cause(example_workspace) if each.topic == wire_topic)
    id_ = notification_id(random.Random(f"{topic} {now}"))  # noqa: S311 -- it must be repeatable, it guards nothing
    return notification.envelope | {"topic": topic, "id": id_}
