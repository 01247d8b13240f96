"""
The fields that contacts can be searched by, and of what kind each is.

Source:
    Intercom's OpenAPI description 2.16, POST /contacts/search.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.api.api_errors import bad_request
from emulator.api.search.contact_index import IndexedContact

STRING, BOOLEAN, NUMBER, DATE, MEMBER = "string", "boolean", "number", "date", "member"

OPERATORS: Mapping[str, frozenset[str]] = {
    STRING: frozenset({"=", "!=", "IN", "NIN", "~", "!~", "^", "$"}),
    BOOLEAN: frozenset({"=", "!=", "IN", "NIN"}),
    NUMBER: frozenset({"=", "!=", "IN", "NIN", ">", "<", ">=", "<="}),
    # They have their own rules, by version.
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
    """`read` gives the value of a document in the form in which it is compared: times in seconds, texts as they are."""

    name: str
    kind: str
    read: Callable[[IndexedContact], Any]


def field_named(name: object, custom: Mapping[str, str]) -> SearchField:
    """
    Return the field; `custom` says of which type each custom attribute of a contact is.

    Raises:
        ApiError: contacts cannot be searched by it.
    """
    if isinstance(name, str) and name in _FIELDS:
        return _FIELDS[name]
    if isinstance(name, str) and name.removeprefix(_CUSTOM) in custom and name.startswith(_CUSTOM):
        attribute = name.removeprefix(_CUSTOM)
        return SearchField(
            name, _CUSTOM_KINDS[custom[attribute]], lambda doc: doc.values["custom_attributes"].get(attribute)
        )
    raise bad_request(f"Field '{name}' is not searchable", "field_not_found")


def _value(name: str) -> Callable[[IndexedContact], Any]:
    return lambda document: document.values[name]


def _seconds(name: str) -> Callable[[IndexedContact], int | None]:
    def read(document: IndexedContact) -> int | None:
        milliseconds = document.values[name]
        return None if milliseconds is None else milliseconds // 1000

    return read


def _place(name: str) -> Callable[[IndexedContact], Any]:
    return lambda document: document.values["location"][name]


def _digits(document: IndexedContact) -> str | None:
    phone = document.values["phone"]
    return None if phone is None else "".join(filter(str.isdigit, phone))


def _avatar(document: IndexedContact) -> str | None:
    avatar = document.values["avatar"]
    return None if avatar is None else avatar["image_url"]


def _owner(document: IndexedContact) -> str | None:
    owner_id = document.values["owner_id"]
    return None if owner_id is None else str(owner_id)


def _domain(document: IndexedContact) -> str | None:
    email = document.values["email"]
    return email.rpartition("@")[2] if email else None


_FIELDS = {
    field.name: field
    for field in (
        SearchField("id", STRING, lambda document: document.id),
        SearchField("owner_id", STRING, _owner),
        SearchField("email_domain", STRING, _domain),
        SearchField("formatted_phone", STRING, _digits),
        SearchField("avatar", STRING, _avatar),
        SearchField("tag_id", MEMBER, lambda document: document.tag_ids),
        SearchField("segment_id", MEMBER, lambda document: document.segment_ids),
        *(SearchField(name, STRING, _value(name)) for name in _STRINGS),
        *(SearchField(name, BOOLEAN, _value(name)) for name in _BOOLEANS),
        *(SearchField(name, DATE, _seconds(name)) for name in STANDARD_DATES),
        *(SearchField(f"location.{name}", STRING, _place(name)) for name in ("country", "region", "city")),
    )
}
