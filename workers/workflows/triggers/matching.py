"""
Which changes start which workflows. Pure.

A created object starts a workflow only if Intercom created it after the workspace was connected. The first webhook
about an old contact makes it new to the mirror only, and connecting a workspace must not greet all its old contacts.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from workers.workflows.format.workflow import Trigger


class TriggerChange(NamedTuple):
    """The columns of a change that triggers use."""

    seq: int
    workspace_id: str
    object_type: str
    object_id: str
    op: str
    changed_fields: tuple[str, ...]
    source: str


def may_start(trigger: Trigger, change: TriggerChange) -> bool:
    """Return whether a change may start a run, as far as the change alone shows."""
    return (
        (change.object_type, change.op) == (trigger.object_type, trigger.op)
        and change.source in trigger.sources
        and (not trigger.changed or not set(trigger.changed).isdisjoint(change.changed_fields))
    )


def starts(trigger: Trigger, change: TriggerChange, record: Mapping[str, Any], connected_at: int | None) -> bool:
    """
    Return whether a change starts a run.

    Args:
        trigger: of the workflow.
        change: from the feed.
        record: the object as it is now.
        connected_at: when the workspace was connected, in unix seconds; None if it is not connected.
    """
    if connected_at is None or not may_start(trigger, change):
        return False
    if trigger.op == "created" and not _is_later(record.get("created_at"), connected_at):
        return False
    return all(matches(value_at(record, path), wanted) for path, wanted in trigger.where.items())


def _is_later(created_at: Any, connected_at: int) -> bool:
    # An object of unknown age counts as old.
    return isinstance(created_at, int | float) and not isinstance(created_at, bool) and created_at > connected_at


def value_at(record: Mapping[str, Any], path: str) -> Any:
    """Return the value at a dotted path; None if there is none. Names of custom attributes may contain dots."""
    value: Any = record
    parts = path.split(".")
    for position, part in enumerate(parts):
        if not isinstance(value, Mapping):
            return None
        rest = ".".join(parts[position:])
        if rest in value:
            return value[rest]
        value = value.get(part)
    return value


def matches(value: Any, wanted: Any) -> bool:
    """Return whether a value is what `where` wants: a value, one of a list, or `not` one of these."""
    if isinstance(wanted, Mapping):
        return not matches(value, wanted["not"])
    if isinstance(wanted, list | tuple):
        return any(_equals(value, each) for each in wanted)
    return _equals(value, wanted)


def _equals(value: Any, wanted: Any) -> bool:
    # In Python, True == 1.
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)
