"""
One whole notification for every topic that is mirrored, and for ping: what `intercom-mirror trigger TOPIC` sends.

All tell of the same few pretend objects, so that "created" can be followed by "updated" and "deleted".
"""

import random
from collections.abc import Callable
from typing import Any

from emulator import fake_data, random_operations
from emulator.clock import ManualClock
from emulator.emulated_notification import EmulatedNotification, notification_id, ping
from emulator.workspace import EmulatedWorkspace
from emulator.workspace_state import DEFAULT_WORKSPACE

# When the objects of the examples were made: Monday, 2026-01-05, 08:00 UTC, in milliseconds. It is fixed because ids
# begin with the time.
_BEGINNING = 1_767_600_000_000
# Any number: it decides the invented names.
_SEED = 42
_NEWSLETTER = random_operations.SUBSCRIPTIONS[0]


class ExampleWorkspace:
    """A small workspace in which the scene of each topic can be played; its objects are made by a fixed seed."""

    def __init__(self, workspace_id: str) -> None:
        self.clock = ManualClock(_BEGINNING)
        self.workspace = EmulatedWorkspace(workspace_id, _SEED, self.clock)
        rng = self.workspace.rng
        self.tag, self.other_tag = self.workspace.create_tag("vip"), self.workspace.create_tag("trial")
        self.company, self.other_company = (
            random_operations.create_company(self.workspace, rng)[0].object_id for _ in range(2)
        )
        values = fake_data.person(rng) | {"name": "Mira Lind", "phone": "+12025550142", "owner_id": fake_data.OWNERS[0]}
        self.user = self.workspace.create_contact("user", values)[0].object_id
        self.lead = self.workspace.create_contact("lead", fake_data.visitor(rng))[0].object_id
        for contact_id in (self.user, self.lead):
            self.workspace.attach(contact_id, self.company)
            self.workspace.tag(contact_id, self.tag)

    def show(self, topic: str, contact_id: str) -> list[EmulatedNotification]:
        """Tell of a contact as it is now, as if that had just come about."""
        record = self.workspace.contacts[contact_id]
        self.workspace.touch(record)
        return [self.workspace.tell_contact(topic, record)]

    def show_company(self, topic: str, company_id: str) -> list[EmulatedNotification]:
        """Tell of a company as it is now, as if that had just come about."""
        record = self.workspace.companies[company_id]
        self.workspace.touch(record)
        return [self.workspace.tell_company(topic, record)]

    def tagging(self, contact_id: str) -> list[EmulatedNotification]:
        """Put a tag on and take it off again."""
        return [*self.workspace.tag(contact_id, self.other_tag), *self.workspace.untag(contact_id, self.other_tag)]

    def attaching(self) -> list[EmulatedNotification]:
        """Attach the user to a company and detach it again."""
        ends = self.user, self.other_company
        return [*self.workspace.attach(*ends), *self.workspace.detach(*ends)]

    def archiving(self) -> list[EmulatedNotification]:
        """Archive the user and bring it back."""
        return [*self.workspace.archive_contact(self.user), *self.workspace.unarchive_contact(self.user)]

    def consenting(self) -> list[EmulatedNotification]:
        """Unsubscribe the user from emails and subscribe it again."""
        off, on = (self.workspace.set_email_consent(self.user, _NEWSLETTER, wanted=wanted) for wanted in (False, True))
        return [*off, *on]

    def subscribing(self) -> list[EmulatedNotification]:
        """Unsubscribe the user from one type of message and subscribe it again."""
        off, on = (self.workspace.set_subscription(self.user, _NEWSLETTER, wanted=wanted) for wanted in (False, True))
        return [*off, *on]


Scene = Callable[[ExampleWorkspace], list[EmulatedNotification]]

# Each scene tells of its topic, and perhaps of others beside it.
_SCENES: dict[str, Scene] = {
    "contact.user.created": lambda on: on.show("contact.user.created", on.user),
    "contact.user.updated": lambda on: on.workspace.update_contact(on.user, {"name": "Mira Example"}),
    "contact.user.tag.created": lambda on: on.tagging(on.user),
    "contact.user.tag.deleted": lambda on: on.tagging(on.user),
    "contact.lead.created": lambda on: on.show("contact.lead.created", on.lead),
    "contact.lead.updated": lambda on: on.workspace.update_contact(on.lead, {"name": "Lena Example"}),
    "contact.lead.added_email": lambda on: on.workspace.update_contact(on.lead, {"email": "lena@lantern.example"}),
    "contact.lead.signed_up": lambda on: on.workspace.sign_up_lead(on.lead, "cust_lena"),
    "contact.lead.tag.created": lambda on: on.tagging(on.lead),
    "contact.lead.tag.deleted": lambda on: on.tagging(on.lead),
    "contact.email.updated": lambda on: on.workspace.update_contact(on.user, {"email": "mira@lantern.example"}),
    "contact.merged": lambda on: on.workspace.merge_contacts(on.lead, on.user),
    "contact.archived": ExampleWorkspace.archiving,
    "contact.unarchived": ExampleWorkspace.archiving,
    "contact.deleted": lambda on: on.workspace.delete_contact(on.lead),
    "contact.subscribed": ExampleWorkspace.consenting,
    "contact.unsubscribed": ExampleWorkspace.consenting,
    "contact.unsubscribed_from_sms": lambda on: on.workspace.unsubscribe_from_sms(on.user),
    "granular.subscribe": ExampleWorkspace.subscribing,
    "granular.unsubscribe": ExampleWorkspace.subscribing,
    "visitor.signed_up": lambda on: random_operations.sign_up_visitor(on.workspace, on.workspace.rng),
    "company.created": lambda on: on.show_company("company.created", on.company),
    "company.updated": lambda on: on.workspace.update_company(on.company, {"size": 41, "website": None}),
    "company.deleted": lambda on: on.workspace.delete_company(on.company),
    "company.contact.attached": ExampleWorkspace.attaching,
    "company.contact.detached": ExampleWorkspace.attaching,
}

# Names that old pages of Intercom's documentation give to topics; the wire says otherwise.
_OLD_NAMES = {"contact.archive": "contact.archived", "contact.unarchive": "contact.unarchived"}

TOPICS = (*_SCENES, *_OLD_NAMES, "ping")


def example(topic: str, now: float, workspace_id: str = DEFAULT_WORKSPACE) -> dict[str, Any]:
    """
    Return a whole notification, envelope and all.

    Args:
        topic: one of TOPICS.
        now: unix seconds; the moment of the change that is told. Another moment gives another notification id.
        workspace_id: its `app_id`.

    Raises:
        KeyError: there is no example for this topic.
    """
    if topic == "ping":
        return ping(workspace_id, int(now)).envelope
    wire_topic = _OLD_NAMES.get(topic, topic)
    scene = _SCENES[wire_topic]
    stage = ExampleWorkspace(workspace_id)
    stage.clock.now = round(now * 1000)
    told = next(notification for notification in scene(stage) if notification.topic == wire_topic)
    id_ = notification_id(random.Random(f"{topic} {now}"))  # noqa: S311 -- it must be repeatable, it guards nothing
    return told.envelope | {"topic": topic, "id": id_}
