"""Content: every key of an object keeps the newest value that any form gave it."""

from typing import Any, NamedTuple

from models.rule.observations import PARTIAL_SECOND, Version

# Intercom moves these without telling and without moving updated_at; contents that differ only here do not differ.
VOLATILE = frozenset({"last_request_at", "session_count", "user_count", "notes"})

# A second, in milliseconds.
_SECOND = 1000


class Content(NamedTuple):
    """Canonical `fields`, the `version` of the newest form, and the versions of those keys which that form lacked."""

    fields: dict[str, Any]
    version: Version
    key_versions: dict[str, Version]


def merge(held: Content | None, fields: dict[str, Any], version: Version) -> Content:
    """
    Let each key have its newest value; a key that the newer form does not know keeps its old one, a null clears.

    The result does not depend on the order in which forms are merged.
    """
    if held is None:
        return Content(fields, version, {})
    if version > held.version:
        key_versions = {key: held.key_versions.get(key, held.version) for key in held.fields if key not in fields}
        return Content({**held.fields, **fields}, version, key_versions)
    older = {key: value for key, value in fields.items() if _wants(held, key, version)}
    if not older:
        return held
    return Content({**held.fields, **older}, held.version, {**held.key_versions, **dict.fromkeys(older, version)})


def conflict(held: Content, fields: dict[str, Any], version: Version, settled_at: int | None) -> bool:
    """
    Tell whether two contents of the same second disagree, so that only Intercom can say which one is true.

    `settled_at`: as_of in milliseconds of the newest GET by id among both sides; one that was made after the second
    had passed knows best, and nothing is in doubt.
    """
    if version.second == PARTIAL_SECOND:
        return _partial_conflict(held, fields, version)
    if version == held.version or (version.second != held.version.second and not held.key_versions):
        return False
    if settled_at is not None and settled_at >= (version.second + 1) * _SECOND:
        return False
    of_this_second = {key: value for key, value in fields.items() if _told_at(held, key).second == version.second}
    return differs(held.fields, of_this_second)


def differs(held: dict[str, Any], fields: dict[str, Any]) -> bool:
    """Compare the keys that both sides carry, but for those that Intercom changes without telling."""
    if held is fields:
        return False
    return any(held[key] != value for key, value in fields.items() if key in held and key not in VOLATILE)


def _told_at(held: Content, key: str) -> Version:
    return held.key_versions.get(key, held.version)


def _wants(held: Content, key: str, version: Version) -> bool:
    return key not in held.fields or (key in held.key_versions and held.key_versions[key] < version)


def _partial_conflict(held: Content, fields: dict[str, Any], version: Version) -> bool:
    if held.version.second == PARTIAL_SECOND:
        # It is in doubt already, but a fetch that is under way may have been too early to see this.
        return version > held.version
    second = version.fine // _SECOND
    return second > held.version.second or (second == held.version.second and differs(held.fields, fields))
