"""The stored form of contacts, companies, tags and merges in an emulated workspace."""

from dataclasses import dataclass, field
from typing import Any

# The scalars and plain objects of a contact with their unset values, in Intercom's order (2.16). Times are in
# milliseconds.
# Objects among the values are replaced as a whole and never modified, because earlier notifications may share them.
BLANK_CONTACT: dict[str, Any] = {
    "external_id": None, "role": "user", "email": None, "phone": None, "name": None, "avatar": None,
    "owner_id": None, "social_profiles": {"type": "list", "data": []}, "has_hard_bounced": False,
    "marked_email_as_spam": False, "unsubscribed_from_emails": False, "created_at": None, "updated_at": None,
    "signed_up_at": None, "last_seen_at": None, "last_replied_at": None, "last_contacted_at": None,
    "last_email_opened_at": None, "last_email_clicked_at": None, "language_override": None, "browser": None,
    "browser_version": None, "browser_language": None, "os": None,
    "location": {"type": "location", "country": None, "region": None, "city": None, "country_code": None,
                 "continent_code": None},
    "android_app_name": None, "android_app_version": None, "android_device": None, "android_os_version": None,
    "android_sdk_version": None, "android_last_seen_at": None, "ios_app_name": None, "ios_app_version": None,
    "ios_device": None, "ios_os_version": None, "ios_sdk_version": None, "ios_last_seen_at": None,
    "custom_attributes": {}, "utm_campaign": None, "utm_content": None, "utm_medium": None, "utm_source": None,
    "utm_term": None, "referrer": None, "sms_consent": False, "unsubscribed_from_sms": False,
    "enabled_push_messaging": None,
}  # fmt: skip

CONTACT_TIMES = tuple(name for name in BLANK_CONTACT if name.endswith("_at"))

BLANK_COMPANY: dict[str, Any] = {
    "name": None, "plan": None, "company_id": None, "remote_created_at": None, "created_at": None, "updated_at": None,
    "last_request_at": None, "size": None, "website": None, "industry": None, "monthly_spend": None,
    "session_count": 0, "custom_attributes": {},
}  # fmt: skip

COMPANY_TIMES = tuple(name for name in BLANK_COMPANY if name.endswith("_at"))

# An ordered set of ids. Intercom embeds the first ten links, so the order must be the same on every run.
IdSet = dict[str, None]


@dataclass(slots=True)
class ContactRecord:
    """A user or a lead; `values` has the keys of BLANK_CONTACT."""

    id: str
    values: dict[str, Any]
    company_ids: IdSet = field(default_factory=dict)
    tag_ids: IdSet = field(default_factory=dict)
    opted_in: IdSet = field(default_factory=dict)
    opted_out: IdSet = field(default_factory=dict)
    archived: bool = False

    @property
    def role(self) -> str:
        """The role, "user" or "lead"; it is part of the topics."""
        return str(self.values["role"])


@dataclass(slots=True)
class CompanyRecord:
    """A company; `values` has the keys of BLANK_COMPANY, `contact_ids` are the contacts attached to it."""

    id: str
    values: dict[str, Any]
    contact_ids: IdSet = field(default_factory=dict)
    tag_ids: IdSet = field(default_factory=dict)


@dataclass(slots=True)
class TagRecord:
    """A tag of contacts and companies."""

    id: str
    name: str


@dataclass(slots=True)
class MergeRecord:
    """A merge of two contacts; `role` is the former role of the source, `at` is in milliseconds since 1970 UTC."""

    from_id: str
    into_id: str
    role: str
    at: int
