"""
A workspace as it truly is, and its notifications: the reference of the laws, written without the product's code.

Every event is reported by notifications in Intercom's real shapes, and also as facts: what a reader that received
everything in the order of the events would know.
"""

from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import msgspec

from tests.laws import wire

# Stands for the workspace's id in bodies, so that one history can be delivered to many workspaces.
APP = b"@the-workspace@"

# 2026-01-10 04:00:00 UTC, in milliseconds; each history starts here.
BEGINNING = 1_768_017_600_000

# Facts: ("whole" | "part", type, id, fields), ("gone", type, id), ("merged", from, into), ("archived", id, bool),
# ("pair", kind, owner, other, bool), ("list", kind, owner, ids, complete), ("dirty", type, id).
Fact = tuple[Any, ...]


@dataclass
class Contact:
    id: str
    values: dict[str, Any]
    companies: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    archived: bool = False


@dataclass
class Company:
    id: str
    values: dict[str, Any]
    tags: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class SentNotification:
    """One notification: its `topic`, its `body` with APP for the workspace, and the `facts` in it."""

    topic: str
    body: bytes
    facts: tuple[Fact, ...]
    at_ms: int

    def to(self, workspace_id: str) -> bytes:
        return self.body.replace(APP, workspace_id.encode())


@dataclass(frozen=True)
class GetResult:
    """What a GET by id returns at one moment; `status` is found, gone or merged."""

    status: str
    object: dict[str, Any] | None = None
    archived: bool | None = None
    into: str | None = None


class TrueWorkspace:
    """
    Contacts, companies and tags that are always consistent.

    Twelve companies and thirteen tags existed before the first notification; they appear only where an object
    references them.
    """

    def __init__(self) -> None:
        self.now = BEGINNING
        self.contacts: dict[str, Contact] = {}
        self.companies: dict[str, Company] = {}
        self.tags = {f"tag{number:02}": f"Tag {number}" for number in range(13)}
        self.deleted: dict[str, tuple[Contact, int]] = {}
        self.redirects: dict[str, str] = {}
        # Contacts whose merge was reported without their id, so that no reader can know what they became part of.
        self.unreported_merges: set[str] = set()
        self.sent: list[SentNotification] = []
        self.style = wire.Style()
        self._numbers = 0
        for number in range(12):
            self.companies[f"old{number:02}"] = Company(f"old{number:02}", self._company_values(number))

    def new_contact(self, role: str, number: int) -> Contact:
        contact = Contact(f"contact{self.number():03}", self._contact_values(role, number))
        self.contacts[contact.id] = contact
        return contact

    def new_company(self, number: int) -> Company:
        company = Company(f"company{self.number():03}", self._company_values(number))
        self.companies[company.id] = company
        return company

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def touch(self, thing: Contact | Company) -> None:
        thing.values["updated_at"] = self.now

    def user_count(self, company: Company) -> int:
        return sum(company.id in contact.companies for contact in self.contacts.values())

    def survivor(self, contact_id: str) -> str:
        while contact_id in self.redirects:
            contact_id = self.redirects[contact_id]
        return contact_id

    def send(self, topic: str, item: dict[str, Any], *facts: Fact) -> None:
        # The id has no order, as Intercom's ids have none.
        notification_id = f"notif_{sha256(b'%d' % len(self.sent)).hexdigest()[:12]}"
        body = msgspec.json.encode(
            {
                "type": "notification_event",
                "app_id": APP.decode(),
                "id": notification_id,
                "topic": topic,
                "created_at": (self.now + self.style.lag) // 1000,
                "delivery_attempts": 1,
                "data": {"type": "notification_event_data", "item": item},
            }
        )
        self.sent.append(SentNotification(topic, body, facts, self.now))

    def get_by_id(self, object_type: str, object_id: str) -> GetResult:
        """Return the result of a GET by id; contacts have complete lists."""
        if object_type == "contact" and object_id in self.contacts:
            contact = self.contacts[object_id]
            return GetResult("found", wire.rest_contact(contact), contact.archived)
        if object_type == "contact" and object_id in self.redirects:
            return GetResult("merged", into=self.survivor(object_id))
        if object_type == "company" and object_id in self.companies:
            company = self.companies[object_id]
            return GetResult("found", wire.rest_company(company, self.tags, self.user_count(company)), archived=False)
        if object_type == "tag" and object_id in self.tags:
            return GetResult("found", {"type": "tag", "id": object_id, "name": self.tags[object_id]})
        return GetResult("gone")

    def _contact_values(self, role: str, number: int) -> dict[str, Any]:
        return {
            "role": role,
            "external_id": f"external{number}",
            "email": f"one{number}@example.test",
            "name": None,
            "phone": None,
            "owner_id": None,
            "avatar": None,
            "has_hard_bounced": False,
            "unsubscribed_from_emails": False,
            "created_at": self.now,
            "updated_at": self.now,
            "signed_up_at": None,
            "last_seen_at": None,
            "referrer": None,
            "custom_attributes": {},
            "location": {"type": "location", "country": "Ireland", "region": None, "city": "Dublin"},
        }

    def _company_values(self, number: int) -> dict[str, Any]:
        return {
            "company_id": f"own{number}",
            "name": f"Firm {number}",
            "plan": None,
            "remote_created_at": None,
            "created_at": self.now,
            "updated_at": self.now,
            "last_request_at": None,
            "size": None,
            "website": None,
            "industry": None,
            "monthly_spend": 0,
            "session_count": 0,
            "custom_attributes": {},
        }
