"""
Canonical objects: a contact or company is the same whether it came in a notification or from the REST API.

Times become whole unix seconds, ids and owner ids text, a plan null or an object, an avatar an object. Lists that have
tables of their own (tags, companies, segments) are removed from the object and become a `MemberList`.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec

from intercom_api.errors import MalformedNotificationError
from intercom_api.wire import times
from intercom_api.wire.envelope import parse_id
from settings.units import MS_PER_SECOND

# Members of an embedded list, at most. A list of exactly ten that has neither "has_more" nor a total may be cut.
MAX_EMBEDDED_MEMBERS = 10

# Fields that a REST company omits if they are unset; a notification sends null instead.
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

# Omitted from the canonical object: they are stored elsewhere (the link tables, `merged_from`, the key of the row), or
# are derived from another field and present in some formats only (email_domain, formatted_phone).
_CONTACT_OMITTED = frozenset(
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
_COMPANY_OMITTED = frozenset({"app_id", "tags", "tag_ids", "segments", "notes", "plan_id", "archived"})


class MemberList(msgspec.Struct, frozen=True):
    """
    An embedded list.

    Attributes:
        ids: of its members, without duplicates.
        complete: whether Intercom embedded all members.
        names: by id, where Intercom sent them.
    """

    ids: tuple[str, ...]
    complete: bool
    names: dict[str, str] = {}


class CanonicalObject(msgspec.Struct, frozen=True):
    """
    One object in canonical form.

    Attributes:
        id: the object's.
        content: the object itself.
        updated_at_ms: its updated_at in milliseconds; None if it has none.
        has_milliseconds: whether updated_at was given in milliseconds.
        tags, companies, segments: the embedded lists; None for a list that the object does not contain.
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
    Convert a whole contact, from a notification or the REST API, to canonical form.

    Raises:
        MalformedNotificationError: no valid id, or an updated_at that is not a time.
    """
    content = _content(item, _CONTACT_OMITTED)
    # A contact has segments only if the refetch added them.
    tags, companies, segments = (_member_list(item.get(name)) for name in ("tags", "companies", "segments"))
    return _canonical_object(item, content, path, tags, companies, segments)


def company(item: dict[str, Any], path: str = "data.item", *, rest: bool = False) -> CanonicalObject:
    """
    Convert a company to canonical form.

    Args:
        item: Intercom's JSON.
        path: of the item, for errors.
        rest: the item is from the REST API, which omits unset fields; they become null.

    Raises:
        MalformedNotificationError: no valid id, or an updated_at that is not a time.
    """
    content = _content(item, _COMPANY_OMITTED)
    if "plan_id" in item and "plan" not in item:
        content["plan"] = _plan({"id": item["plan_id"]})
    if rest:
        content = dict.fromkeys(COMPANY_FIELDS) | content
    return _canonical_object(
        item, content, path, _company_tags(item), segments=_member_list(item.get("segments"), "segments")
    )


def tag_or_segment(item: dict[str, Any], path: str = "$") -> CanonicalObject:
    """
    Convert a tag or a segment to canonical form.

    Raises:
        MalformedNotificationError: no valid id.
    """
    content = _content(item, frozenset())
    return _canonical_object(item, content, path)


def _canonical_object(
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


def _content(item: dict[str, Any], omitted: frozenset[str]) -> dict[str, Any]:
    plan = _conversion_plan(tuple(item), omitted)
    content = dict(item)
    for key in plan.omitted:
        del content[key]
    for key, convert in plan.converted:
        if (value := content[key]) is not None:
            content[key] = convert(value)
    return content


class _ConversionPlan(NamedTuple):
    omitted: tuple[str, ...]
    converted: tuple[tuple[str, Callable[[Any], Any]], ...]


# Intercom sends the same 70 keys in the same order again and again, so each key is examined once. Bounded, because the
# sender chooses the keys.
@lru_cache(maxsize=256)
def _conversion_plan(keys: tuple[str, ...], omitted: frozenset[str]) -> _ConversionPlan:
    converters = {key: _seconds if key.endswith("_at") else _CONVERTERS.get(key) for key in keys if key not in omitted}
    converted = tuple((key, convert) for key, convert in converters.items() if convert is not None)
    return _ConversionPlan(tuple(key for key in keys if key in omitted), converted)


def _seconds(value: Any) -> Any:
    # An invalid time is kept unchanged: the column stays null and nothing is lost.
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
    # Older versions of the API send an address where an object is sent today.
    return {"type": "avatar", "image_url": value} if isinstance(value, str) else value


def _text(value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


def _attributes(value: Any) -> Any:
    return value if isinstance(value, dict) else {}


_CONVERTERS: dict[str, Callable[[Any], Any]] = {
    "plan": _plan,
    "avatar": _avatar,
    "owner_id": _text,
    "external_id": _text,
    "company_id": _text,
    "custom_attributes": _attributes,
}


def _member_list(value: Any, key: str = "data") -> MemberList | None:
    """Parse an embedded list: `{key: [{"id": …}], "has_more": …, "total_count": …}`; None if it is not one."""
    if not isinstance(value, dict) or not isinstance(value.get(key), list):
        return None
    entries = [entry for entry in value[key] if isinstance(entry, dict) and entry.get("id") not in (None, "")]
    ids = tuple(dict.fromkeys(parse_id(entry["id"], f"{key}[].id") for entry in entries))
    names = {str(entry["id"]): entry["name"] for entry in entries if isinstance(entry.get("name"), str)}
    # Only the lists inside contacts are cut; those of companies are complete, under keys of their own.
    complete = _is_complete(value, len(ids)) if key == "data" else not value.get("has_more")
    return MemberList(ids=ids, complete=complete, names=names)


def _is_complete(value: dict[str, Any], count: int) -> bool:
    if value.get("has_more"):
        return False
    total = value.get("total_count")
    if isinstance(total, int):
        return total <= count
    return "has_more" in value or count != MAX_EMBEDDED_MEMBERS


def _company_tags(item: dict[str, Any]) -> MemberList | None:
    tag_ids = item.get("tag_ids")
    if isinstance(tag_ids, list):
        return MemberList(ids=tuple(dict.fromkeys(parse_id(tag, "tag_ids[]") for tag in tag_ids)), complete=True)
    return _member_list(item.get("tags"), "tags")
