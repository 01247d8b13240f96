"""
The fields that contacts can be searched by, with their types and operators.

Source:
    Intercom's OpenAPI description 2.16, POST /contacts/search.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.api.api_errors import bad_request
from emulator.api.search.contact_index import IndexedContact
from intercom_api.wire.times import MS_PER_SECOND

STRING, BOOLEAN, NUMBER, DATE, MEMBER = "string", "boolean", "number", "date", "member"

OPERATORS: Mapping[str, frozenset[str]] = {
    STRING: frozenset({"=", "!=", "IN", "NIN", "~", "!~", "^", "$"}),
    BOOLEAN: frozenset({"=", "!=", "IN", "NIN"}),
    NUMBER: frozenset({"=", "!=", "IN", "NIN", ">", "<", ">=", "<="}),
    # Some API versions support fewer; see `date_ranges`.
    DATE: frozenset({"=", "!=", ">", "<", ">=", "<="}),
    MEMBER: frozenset({"=", "!="}),
}

_STRINGS = (
    "role", "name", "email", "phone", "external_id", "language_override", "browser", "browser_language", "os",
    "ios_app_name", "ios_app_version", "ios_device", "ios_os_version", "ios_sdk_version", "android_app_name",
    "android_app_version", "android_device", "android_os_version", "android_sdk_version",
)  # fmt: skip
_BOOLEANS = ("unsubscribed_from_emails", "marked_email_as_spam", "has_hard_bounced")
STANDARD_DATES = (
    "created_at", "updated_at", "signed_up_at", "last_seen_at", "last_contacted_at", "last_replied_at",
    "last_email_opened_at", "last_email_clicked_at", "ios_last_seen_at", "android_last_seen_at",
)  # fmt: skip
_CUSTOM = "custom_attributes."
_CUSTOM_KINDS = {"string": STRING, "integer": NUMBER, "float": NUMBER, "boolean": BOOLEAN, "date": DATE}


@dataclass(frozen=True, slots=True)
class SearchField:
    """A field; `read` returns its value of a contact as it is compared: times in unix seconds, texts unchanged."""

    name: str
    kind: str
    read: Callable[[IndexedContact], Any]


def find_field(name: object, custom: Mapping[str, str]) -> SearchField:
    """
    Return a field by name.

    Args:
        name: the name in the query.
        custom: the types of the contacts' custom attributes by name.

    Raises:
        ApiError: contacts cannot be searched by this field.
    """
    if isinstance(name, str) and name in _FIELDS:
        return _FIELDS[name]
    if isinstance(name, str) and name.removeprefix(_CUSTOM) in custom and name.startswith(_CUSTOM):
        attribute = name.removeprefix(_CUSTOM)
        kind = _CUSTOM_KINDS[custom[attribute]]
        return SearchField(name, kind, lambda contact: contact.values["custom_attributes"].get(attribute))
    raise bad_request(f"Field '{name}' is not searchable", "field_not_found")


def _value(name: str) -> Callable[[IndexedContact], Any]:
    return lambda contact: contact.values[name]


def _seconds(name: str) -> Callable[[IndexedContact], int | None]:
    def read(contact: IndexedContact) -> int | None:
        milliseconds = contact.values[name]
        return None if milliseconds is None else milliseconds // MS_PER_SECOND

    return read


def _location(name: str) -> Callable[[IndexedContact], Any]:
    return lambda contact: contact.values["location"][name]


def _digits(contact: IndexedContact) -> str | None:
    phone = contact.values["phone"]
    return None if phone is None else "".join(filter(str.isdigit, phone))


def _avatar(contact: IndexedContact) -> str | None:
    avatar = contact.values["avatar"]
    return None if avatar is None else avatar["image_url"]


def _owner(contact: IndexedContact) -> str | None:
    owner_id = contact.values["owner_id"]
    return None if owner_id is None else str(owner_id)


def _domain(contact: IndexedContact) -> str | None:
    email = contact.values["email"]
    return email.rpartition("@")[2] if email else None


_FIELDS = {
    field.name: field
    for field in (
        SearchField("id", STRING, lambda contact: contact.id),
        SearchField("owner_id", STRING, _owner),
        SearchField("email_domain", STRING, _domain),
        SearchField("formatted_phone", STRING, _digits),
        SearchField("avatar", STRING, _avatar),
        SearchField("tag_id", MEMBER, lambda contact: contact.tag_ids),
        SearchField("segment_id", MEMBER, lambda contact: contact.segment_ids),
        *(SearchField(name, STRING, _value(name)) for name in _STRINGS),
        *(SearchField(name, BOOLEAN, _value(name)) for name in _BOOLEANS),
        *(SearchField(name, DATE, _seconds(name)) for name in STANDARD_DATES),
        *(SearchField(f"location.{name}", STRING, _location(name)) for name in ("country", "region", "city")),
    )
}
