"""From canonical objects to typed columns: the columns of each type of object, and the value of each column."""

from collections.abc import Callable
from functools import cache
from typing import Any, NamedTuple

from models.tables.column_types import utc_text

# Characters to which indexed text is cut: PostgreSQL rejects index entries over 2,704 bytes, and a character takes up
# to 4. The whole text stays in `_raw`.
INDEXED_LENGTH = 512
# The range of BIGINT.
_LARGEST = 2**63 - 1
# The years 1 to 9999 in unix seconds, which both databases store.
_FIRST_SECOND, _LAST_SECOND = -62_135_596_800, 253_402_300_799


class ColumnField(NamedTuple):
    """One column: its `name`, its `kind` (a key of _READERS), and its path in the object."""

    name: str
    kind: str
    path: tuple[str, ...]


def _fields(kind: str, *names: str) -> list[ColumnField]:
    return [ColumnField(name, kind, (name,)) for name in names]


CONTACT_FIELDS: tuple[ColumnField, ...] = (
    *_fields("indexed", "external_id", "email"),
    ColumnField("email_domain", "domain", ("email",)),
    *_fields("text", "role", "phone", "name", "owner_id"),
    ColumnField("avatar_image_url", "text", ("avatar", "image_url")),
    *_fields("boolean", "has_hard_bounced", "marked_email_as_spam", "unsubscribed_from_emails"),
    *_fields("time", "created_at", "updated_at", "signed_up_at", "last_seen_at", "last_replied_at"),
    *_fields("time", "last_contacted_at", "last_email_opened_at", "last_email_clicked_at"),
    *_fields("text", "language_override", "browser", "browser_version", "browser_language", "os"),
    *(
        ColumnField(f"location_{part}", "text", ("location", part))
        for part in ("country", "region", "city", "country_code", "continent_code")
    ),
    *_fields("text", "android_app_name", "android_app_version", "android_device", "android_os_version"),
    *_fields("text", "android_sdk_version"),
    *_fields("time", "android_last_seen_at"),
    *_fields("text", "ios_app_name", "ios_app_version", "ios_device", "ios_os_version", "ios_sdk_version"),
    *_fields("time", "ios_last_seen_at"),
    *_fields("text", "utm_campaign", "utm_content", "utm_medium", "utm_source", "utm_term", "referrer"),
    *_fields("boolean", "sms_consent", "unsubscribed_from_sms", "enabled_push_messaging"),
)

COMPANY_FIELDS: tuple[ColumnField, ...] = (
    *_fields("indexed", "company_id"),
    *_fields("text", "name"),
    ColumnField("plan_id", "text", ("plan", "id")),
    ColumnField("plan_name", "text", ("plan", "name")),
    *_fields("time", "remote_created_at", "created_at", "updated_at", "last_request_at"),
    *_fields("integer", "size"),
    *_fields("text", "website", "industry"),
    *_fields("integer", "monthly_spend", "session_count", "user_count"),
)

TAG_FIELDS: tuple[ColumnField, ...] = tuple(_fields("text", "name"))
SEGMENT_FIELDS: tuple[ColumnField, ...] = (
    *_fields("text", "name", "person_type"),
    *_fields("time", "created_at", "updated_at"),
)


def column_values(fields: tuple[ColumnField, ...], content: dict[str, Any]) -> list[Any]:
    """
    Return the columns' values, in the order of `fields`; times as text that both databases read.

    A value of another type than its column's is left null there; it stays in `_raw`.
    """
    get = content.get
    # Half of all values are null and most others have their column's type: neither needs a call.
    return [
        None if (value := get(key)) is None else value if type(value) is column_type else read(value)
        for key, column_type, read in _plan(fields)
    ]


@cache
def _plan(fields: tuple[ColumnField, ...]) -> tuple[tuple[str, type | None, Callable[[Any], Any]], ...]:
    """Return for each column the key to look up, the type whose values stay as they are, and the reader of others."""
    return tuple(
        (path[0], _COLUMN_TYPES.get(kind) if len(path) == 1 else None, _reader(kind, path)) for _, kind, path in fields
    )


def _reader(kind: str, path: tuple[str, ...]) -> Callable[[Any], Any]:
    read = _READERS[kind]
    if len(path) == 1:
        return read
    inner = path[1]

    def read_inside(outer: Any) -> Any:
        value = outer.get(inner) if isinstance(outer, dict) else None
        return None if value is None else read(value)

    return read_inside


def _text(value: Any) -> str | None:
    if isinstance(value, str):
        return value
    return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _indexed(value: Any) -> str | None:
    text = _text(value)
    return text if text is None else text[:INDEXED_LENGTH]


def _boolean(value: Any) -> bool | None:
    return value if isinstance(value, bool) else None


def _integer(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if -_LARGEST <= value <= _LARGEST else None


def _time(value: Any) -> str | None:
    # Canonical forms have whole seconds; any other value was not a time.
    if not isinstance(value, int) or isinstance(value, bool) or not _FIRST_SECOND <= value <= _LAST_SECOND:
        return None
    return utc_text(value)


def _domain(value: Any) -> str | None:
    # Computed from the address: only some of Intercom's forms carry email_domain.
    if not isinstance(value, str) or "@" not in value:
        return None
    return value.rpartition("@")[2].lower()[:INDEXED_LENGTH] or None


_COLUMN_TYPES: dict[str, type] = {"text": str, "boolean": bool}

_READERS: dict[str, Callable[[Any], Any]] = {
    "text": _text,
    "indexed": _indexed,
    "boolean": _boolean,
    "integer": _integer,
    "time": _time,
    "domain": _domain,
}
