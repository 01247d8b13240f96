"""What the pretend workspace remembers of a contact, a company and a tag."""

from dataclasses import dataclass, field
from typing import Any

# Every scalar and plain object of a contact in the order in which Intercom sends them (2.16), with its unset value.
# Times are kept in milliseconds. Values that are objects are replaced whole and never changed in place, so that what
# was said in an earlier notification stays said.
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

# An ordered set of ids: Intercom shows the first ten links, and "first" must mean the same on every run.
Ids = dict[str, None]


@dataclass(slots=True)
class ContactRecord:
    """A user or a lead; `values` by Intercom's names as in BLANK_CONTACT."""

    id: str
    values: dict[str, Any]
    company_ids: Ids = field(default_factory=dict)
    tag_ids: Ids = field(default_factory=dict)
    opted_in: Ids = field(default_factory=dict)
    opted_out: Ids = field(default_factory=dict)
    archived: bool = False

    @property
    def role(self) -> str:
        """Tell whether it is a "user" or a "lead"; topics are named by it."""
        return str(self.values["role"])


@dataclass(slots=True)
class CompanyRecord:
    """A company; `values` by Intercom's names as in BLANK_COMPANY; `contact_ids` is the other end of its links."""

    id: str
    values: dict[str, Any]
    contact_ids: Ids = field(default_factory=dict)
    tag_ids: Ids = field(default_factory=dict)


@dataclass(slots=True)
class TagRecord:
    """A tag, which contacts and companies share."""

    id: str
    name: str


@dataclass(slots=True)
class MergeRecord:
    """One contact that was merged into another; `role` is what it had been, `at` milliseconds since 1970 UTC."""

    from_id: str
    into_id: str
    role: str
    at: int
