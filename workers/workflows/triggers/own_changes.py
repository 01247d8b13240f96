"""
Whether a change is a workflow's own doing, so that it does not start itself again. Pure.

What a step changes comes back twice: from its answer (write-through), and from Intercom's notification, which may even
be first. So a step leaves a note before it begins, and completes it with what the answer told. While a step is under
way that may have made a change, nobody can tell: what the change would start is held until the step has ended.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

from workers.workflows.triggers.matching import TriggerChange

# Seconds by which the clocks of the database and of a process may differ, and what SQLite's whole seconds cost.
_CLOCKS_SECONDS = 3.0

# Seconds for which Intercom may take to tell what a message moved.
_MESSAGE_SECONDS = 900.0
# What a message moves of its contact.
_MESSAGE_FIELDS = frozenset({"last_contacted_at", "updated_at"})


class Effect(NamedTuple):
    """
    What a step changed, or may be changing now.

    `object_id` and `object_type`: None while they are not known. `version`: the object's updated_at after it, unix
    seconds; None if the answer did not tell. Moments are unix seconds; `ended_at` is None while it is under way.
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
    line: TriggerChange, at: float, record: Mapping[str, Any], effects: Iterable[Effect]
) -> Literal["own", "foreign", "open"]:
    """
    Tell whether a change is among these effects of one workflow; open: a step under way may yet turn out to be it.

    Args:
        line: of the feed.
        at: its moment, unix seconds.
        record: the object as it is now.
        effects: of the workflow in the workspace.
    """
    verdict: Literal["own", "foreign", "open"] = "foreign"
    for effect in effects:
        if effect.started_at - _CLOCKS_SECONDS > at or not _may_concern(effect, line):
            continue
        if effect.ended_at is None:
            verdict = "open"
        elif effect.object_id is not None and _is_it(effect, effect.ended_at, line, at, record):
            return "own"
    return verdict


def _may_concern(effect: Effect, line: TriggerChange) -> bool:
    if effect.workspace_id != line.workspace_id or effect.object_type not in (None, line.object_type):
        return False
    return effect.object_id in (None, line.object_id)


def _is_it(effect: Effect, ended_at: float, line: TriggerChange, at: float, record: Mapping[str, Any]) -> bool:
    if effect.is_message:
        return at <= ended_at + _MESSAGE_SECONDS and _MESSAGE_FIELDS.issuperset(line.changed_fields)
    if line.source == "write_through" and at <= ended_at + _CLOCKS_SECONDS:
        return True
    updated_at = record.get("updated_at")
    # Nothing newer than what the step did is known of the object.
    return effect.version is not None and isinstance(updated_at, int) and updated_at <= effect.version


def objects_in(output: Any) -> list[tuple[str, str, int | None]]:
    """Return the contacts and companies in an answer: type, id, updated_at."""
    found: dict[tuple[str, str], int | None] = {}
    _collect(output, found, 0)
    return [(kind, object_id, version) for (kind, object_id), version in found.items()]


# Levels at which an answer carries whole objects: {"contact": {…}}, and the body of a request's answer.
_DEPTH = 3
_TYPES = {"contact": "contact", "user": "contact", "lead": "contact", "company": "company"}


def _collect(value: Any, found: dict[tuple[str, str], int | None], depth: int) -> None:
    if not isinstance(value, Mapping) or depth > _DEPTH:
        return
    kind, object_id, version = _TYPES.get(str(value.get("type"))), value.get("id"), value.get("updated_at")
    if kind and object_id is not None:
        found[kind, str(object_id)] = version if isinstance(version, int) else None
    for each in value.values():
        _collect(each, found, depth + 1)
