"""
Whether a workflow itself made a change, so that it does not start itself again. Pure.

A change made by a step appears twice in the feed: from the response (write-through) and from Intercom's notification,
which may arrive first. So a step records its effects before it begins, and completes them with the objects and versions
in the response. While a step is in progress that may have made the change, this cannot be decided, and the run that
the change would start is held until the step has ended.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from workers.workflows.triggers.matching import TriggerChange

# Seconds by which the clocks of the database and of a process may differ, including the rounding to whole seconds on
# SQLite.
_CLOCK_SKEW_SECONDS = 3.0

# Seconds within which Intercom reports what a message changed in its contact, and the fields that a message changes.
_MESSAGE_SECONDS = 900.0
_MESSAGE_FIELDS = frozenset({"last_contacted_at", "updated_at"})

# Levels at which a response contains whole objects: {"contact": {…}}, and the body of a request step's result.
_MAX_DEPTH = 3
_TYPES = {"contact": "contact", "user": "contact", "lead": "contact", "company": "company"}


class Effect(NamedTuple):
    """
    An object that a step changed, or may be changing now.

    `object_type` and `object_id`: None while they are unknown. `version`: the object's updated_at after the change,
    unix seconds; None if the response did not contain it. Times are unix seconds; `ended_at` is None while the step is
    in progress.
    """

    workflow: str
    workspace_id: str
    object_type: str | None
    object_id: str | None
    version: int | None
    is_message: bool
    started_at: float
    ended_at: float | None


def classify(
    change: TriggerChange, at: float, record: Mapping[str, Any], effects: Iterable[Effect]
) -> Literal["own", "foreign", "open"]:
    """
    Return whether one of these effects made a change; "open" if a step in progress may have made it.

    Args:
        change: from the feed.
        at: its time, unix seconds.
        record: the object as it is now.
        effects: of one workflow in the workspace.
    """
    verdict: Literal["own", "foreign", "open"] = "foreign"
    for effect in effects:
        if effect.started_at - _CLOCK_SKEW_SECONDS > at or not _may_concern(effect, change):
            continue
        if effect.ended_at is None:
            verdict = "open"
        elif effect.object_id is not None and _made(effect, effect.ended_at, change, at, record):
            return "own"
    return verdict


def _may_concern(effect: Effect, change: TriggerChange) -> bool:
    if effect.workspace_id != change.workspace_id or effect.object_type not in (None, change.object_type):
        return False
    return effect.object_id in (None, change.object_id)


def _made(effect: Effect, ended_at: float, change: TriggerChange, at: float, record: Mapping[str, Any]) -> bool:
    if effect.is_message:
        return at <= ended_at + _MESSAGE_SECONDS and _MESSAGE_FIELDS.issuperset(change.changed_fields)
    if change.source == "write_through" and at <= ended_at + _CLOCK_SKEW_SECONDS:
        return True
    updated_at = record.get("updated_at")
    # The mirror has nothing newer than the version that the step made.
    return effect.version is not None and isinstance(updated_at, int) and updated_at <= effect.version


def objects_in(output: Any) -> list[tuple[str, str, int | None]]:
    """Return the contacts and companies in a response: type, id, updated_at."""
    objects: dict[tuple[str, str], int | None] = {}
    _collect(output, objects, 0)
    return [(object_type, object_id, version) for (object_type, object_id), version in objects.items()]


def _collect(value: Any, objects: dict[tuple[str, str], int | None], depth: int) -> None:
    if not isinstance(value, Mapping) or depth > _MAX_DEPTH:
        return
    object_type, object_id, version = _TYPES.get(str(value.get("type"))), value.get("id"), value.get("updated_at")
    if object_type and object_id is not None:
        objects[object_type, str(object_id)] = version if isinstance(version, int) else None
    for each in value.values():
        _collect(each, objects, depth + 1)
