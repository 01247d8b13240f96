"""Merging the content of an object: every key keeps the newest value that any form gave it."""

from typing import Any, NamedTuple

from models.rule.observations import PARTIAL_SECOND, Version
from settings.units import MS_PER_SECOND

# Keys that Intercom changes without a notification and without a new updated_at; contents that differ only in these
# count as equal.
VOLATILE = frozenset({"last_request_at", "session_count", "user_count", "notes"})


class Content(NamedTuple):
    """
    The merged content of an object.

    Args:
        fields: the canonical object.
        version: the version of the newest form.
        key_versions: the versions of the keys that the newest form did not carry.
    """

    fields: dict[str, Any]
    version: Version
    key_versions: dict[str, Version]


def merge(current: Content | None, fields: dict[str, Any], version: Version) -> Content:
    """
    Merge a form into the content: each key takes its newest value.

    A key that the newer form does not carry keeps its old value; a null clears. The result does not depend on the order
    in which forms are merged.
    """
    if current is None:
        return Content(fields, version, {})
    if version > current.version:
        key_versions = {
            key: current.key_versions.get(key, current.version) for key in current.fields if key not in fields
        }
        return Content({**current.fields, **fields}, version, key_versions)
    accepted = {key: value for key, value in fields.items() if _accepts(current, key, version)}
    if not accepted:
        return current
    key_versions = {**current.key_versions, **dict.fromkeys(accepted, version)}
    return Content({**current.fields, **accepted}, current.version, key_versions)


def conflict(current: Content, fields: dict[str, Any], version: Version, confirmed_at_ms: int | None) -> bool:
    """
    Return whether two contents of the same second differ, so that only Intercom can say which one is current.

    Args:
        current: the merged content so far.
        fields: the form to merge.
        version: the version of the form.
        confirmed_at_ms: as_of in milliseconds of the newest GET by id among both sides. If it was made after the second
            had passed, it decides, and there is no conflict.
    """
    if version.second == PARTIAL_SECOND:
        return _partial_conflict(current, fields, version)
    if version == current.version or (version.second != current.version.second and not current.key_versions):
        return False
    if confirmed_at_ms is not None and confirmed_at_ms >= (version.second + 1) * MS_PER_SECOND:
        return False
    same_second = {key: value for key, value in fields.items() if _version_of(current, key).second == version.second}
    return differs(current.fields, same_second)


def differs(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """Return whether a key that both sides carry has different values; VOLATILE keys do not count."""
    if one is other:
        return False
    return any(one[key] != value for key, value in other.items() if key in one and key not in VOLATILE)


def _version_of(content: Content, key: str) -> Version:
    return content.key_versions.get(key, content.version)


def _accepts(content: Content, key: str, version: Version) -> bool:
    """Return whether an older form's value of a key is the newest one known."""
    return key not in content.fields or (key in content.key_versions and content.key_versions[key] < version)


def _partial_conflict(current: Content, fields: dict[str, Any], version: Version) -> bool:
    if current.version.second == PARTIAL_SECOND:
        # The object is dirty already, but a fetch that is under way may have been too early to include this change.
        return version > current.version
    second = version.fine // MS_PER_SECOND
    return second > current.version.second or (second == current.version.second and differs(current.fields, fields))
