"""
Canonical forms: the same contact or company looks the same whether a notification or the REST API told us of it.

Times become whole unix seconds, ids and owner ids text, a plan either null or an object, an avatar an object. Lists
that have tables of their own (tags, companies, segments) leave the object and become `MemberList`.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from intercom_api.errors import MalformedNotificationError
from intercom_api.wire import times
from intercom_api.wire.envelope import parse_id
from settings.units import MS_PER_SECOND

# Intercom embeds at most ten members in a list; a longer list without "has_more" is taken at its word.
MAX_EMBEDDED_MEMBERS = 10

# What a REST company leaves out when it is unset; a notification sends null instead.
COMPANY_FIELDS = (
    "company_id",
    "name",
    "plan",
    "remote_created_at",
    "created_at",
    "updated_at",
    "last_request_at",
    "size",
    "website",
    "industry",
    "monthly_spend",
    "session_count",
    "user_count",
)

# Left out of the canonical object: they are said elsewhere (the link tables, `merged_from`, the key of the row), or
# are derived from another field and sent by some forms only (email_domain, formatted_phone).
_CONTACT_LEFT_OUT = frozenset(
    {
        "workspace_id",
        "email_domain",
        "formatted_phone",
        "tags",
        "companies",
        "segments",
        "merged_from",
        "merge_history",
        "archived",
    }
)
_COMPANY_LEFT_OUT = frozenset({"app_id", "tags", "tag_ids", "segments", "notes", "plan_id", "archived"})


class MemberList(msgspec.Struct, frozen=True):
    """The ids of an embedded list, whether it is `complete`, and the names that came with the ids."""

    ids: tuple[str, ...]
    complete: bool
    names: dict[str, str] = {}


class CanonicalObject(msgspec.Struct, frozen=True):
    """
    One object in canonical form.

    `content` is the object itself; `updated_at_ms` is its updated_at in milliseconds, None if it came
    without one; `has_milliseconds` tells whether milliseconds were given; a list that the form did not carry is None.
    """

    id: str
    content: dict[str, Any]
    updated_at_ms: int | None
    has_milliseconds: bool
    tags: MemberList | None = None
    companies: MemberList | None = None
    segments: MemberList | None = None


def contact(item: dict[str, Any], path: str = "data.item") -> CanonicalObject:
    """
    Bring a whole contact, from a notification or from REST, into canonical form.

    Raises:
        MalformedNotificationError: no usable id, or an updated_at that is no time.
    """
    content = _canonical(item, _CONTACT_LEFT_OUT)
    # Segments come with a contact only where it was fetched together with them.
    tags, companies, segments = (_members(item.get(name)) for name in ("tags", "companies", "segments"))
    return _form(item, content, path, tags, companies, segments)


def company(item: dict[str, Any], path: str = "data.item", *, rest: bool = False) -> CanonicalObject:
    """
    Bring a company into canonical form; `rest` fills in as null what a REST company leaves out because it is unset.

    Raises:
        MalformedNotificationError: no usable id, or an updated_at that is no time.
    """
    content = _canonical(item, _COMPANY_LEFT_OUT)
    if "plan_id" in item and "plan" not in item:
        content["plan"] = _plan({"id": item["plan_id"]})
    if rest:
        content = dict.fromkeys(COMPANY_FIELDS) | content
    return _form(item, content, path, _company_tags(item), segments=_members(item.get("segments"), "segments"))


def tag_or_segment(item: dict[str, Any], path: str = "$") -> CanonicalObject:
    """
    Bring a tag or a segment into canonical form.

    Raises:
        MalformedNotificationError: no usable id.
    """
    content = _canonical(item, frozenset())
    return _form(item, content, path)


def _form(
    item: dict[str, Any],
    content: dict[str, Any],
    path: str,
    tags: MemberList | None = None,
    companies: MemberList | None = None,
    segments: MemberList | None = None,
) -> CanonicalObject:
    updated_at = item.get("updated_at")
    try:
        moment = times.milliseconds(updated_at)
    except ValueError as error:
        raise MalformedNotificationError(f"{path}.updated_at", str(error)) from None
    object_id = content["id"] = parse_id(item.get("id"), f"{path}.id")
    return CanonicalObject(
        id=object_id,
        content=content,
        updated_at_ms=moment,
        has_milliseconds=times.has_milliseconds(updated_at),
        tags=tags,
        companies=companies,
        segments=segments,
    )


def _canonical(item: dict[str, Any], left_out: frozenset[str]) -> dict[str, Any]:
    shape = _shape(tuple(item), left_out)
    content = dict(item)
    for key in shape.dropped:
        del content[key]
    for key, read in shape.read:
        if (value := content[key]) is not None:
            content[key] = read(value)
    return content


class _Shape(NamedTuple):
    dropped: tuple[str, ...]
    read: tuple[tuple[str, Callable[[Any], Any]], ...]


# Intercom sends the same 70 keys in the same order again and again, so looking at each of them is done once. Bounded,
# because the sender chooses the keys.
@lru_cache(maxsize=256)
def _shape(keys: tuple[str, ...], left_out: frozenset[str]) -> _Shape:
    readers = {key: _seconds if key.endswith("_at") else _SPECIAL.get(key) for key in keys if key not in left_out}
    special = tuple((key, read) for key, read in readers.items() if read is not None)
    return _Shape(tuple(key for key in keys if key in left_out), special)


def _seconds(value: Any) -> Any:
    # A time that cannot be read is kept as it came: the column stays null and nothing is lost.
    try:
        moment = times.milliseconds(value)
    except ValueError:
        return value
    return None if moment is None else moment // MS_PER_SECOND


def _plan(value: Any) -> Any:
    if not isinstance(value, dict) or value.get("id") is None:
        return None
    return {"type": "plan", "id": str(value["id"]), "name": value.get("name")}


def _avatar(value: Any) -> Any:
    # Older pages show a bare address where an object is sent today.
    return {"type": "avatar", "image_url": value} if isinstance(value, str) else value


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _attributes(value: Any) -> Any:
    return value if isinstance(value, dict) else {}


_SPECIAL: dict[str, Callable[[Any], Any]] = {
    "plan": _plan,
    "avatar": _avatar,
    "owner_id": _text,
    "external_id": _text,
    "company_id": _text,
    "custom_attributes": _attributes,
}


def _members(value: Any, key: str = "data") -> MemberList | None:
    """Read an embedded list: `{key: [{"id": …}], "has_more": …, "total_count": …}`; None if it is not one."""
    if not isinstance(value, dict) or not isinstance(value.get(key), list):
        return None
    entries = [entry for entry in value[key] if isinstance(entry, dict) and entry.get("id") not in (None, "")]
    ids = tuple(dict.fromkeys(parse_id(entry["id"], f"{key}[].id") for entry in entries))
    names = {str(entry["id"]): entry["name"] for entry in entries if isinstance(entry.get("name"), str)}
    # Only the lists inside contacts are cut; those of companies come whole, under keys of their own.
    complete = _complete(value, len(ids)) if key == "data" else not value.get("has_more")
    return MemberList(ids=ids, complete=complete, names=names)


def _complete(value: dict[str, Any], known: int) -> bool:
    if value.get("has_more"):
        return False
    total = value.get("total_count")
    if isinstance(total, int):
        return total <= known
    return "has_more" in value or known != MAX_EMBEDDED_MEMBERS


def _company_tags(item: dict[str, Any]) -> MemberList | None:
    tag_ids = item.get("tag_ids")
    if isinstance(tag_ids, list):
        return MemberList(ids=tuple(dict.fromkeys(parse_id(tag, "tag_ids[]") for tag in tag_ids)), complete=True)
    return _members(item.get("tags"), "tags")
