"""
Which lines of the feed start which workflows. Pure.

A created object starts something only if Intercom made it after the workspace was connected: a webhook about an old
contact is the first that the mirror hears of it, and a person who connects must not greet everybody they ever met.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

from workers.workflows.format.workflow import Trigger


class TriggerChange(NamedTuple):
    """What matching looks at of a line of the feed."""

    seq: int
    workspace_id: str
    object_type: str
    object_id: str
    op: str
    changed_fields: tuple[str, ...]
    source: str


def may_start(trigger: Trigger, line: TriggerChange) -> bool:
    """Tell what can be told without the record."""
    return (
        (line.object_type, line.op) == (trigger.object_type, trigger.op)
        and line.source in trigger.sources
        and (not trigger.changed or not set(trigger.changed).isdisjoint(line.changed_fields))
    )


def starts(trigger: Trigger, line: TriggerChange, record: Mapping[str, Any], connected_at: int | None) -> bool:
    """
    Tell whether a line starts a run.

    Args:
        trigger: of the workflow.
        line: of the feed.
        record: the object as it is now.
        connected_at: since when the workspace is connected, in unix seconds; None if it is not.
    """
    if connected_at is None or not may_start(trigger, line):
        return False
    if trigger.op == "created" and not _is_later(record.get("created_at"), connected_at):
        return False
    return all(fits(at_path(record, path), wanted) for path, wanted in trigger.where.items())


def _is_later(created_at: Any, connected_at: int) -> bool:
    # Of an object whose age nobody told we believe that it is old.
    return isinstance(created_at, int | float) and not isinstance(created_at, bool) and created_at > connected_at


def at_path(record: Mapping[str, Any], path: str) -> Any:
    """Follow a dotted path; None where it leads nowhere. Custom attributes may have dots in their names."""
    found: Any = record
    parts = path.split(".")
    for position, part in enumerate(parts):
        if not isinstance(found, Mapping):
            return None
        rest = ".".join(parts[position:])
        if rest in found:
            return found[rest]
        found = found.get(part)
    return found


def fits(value: Any, wanted: Any) -> bool:
    """Tell whether a value is what `where` wants: a value, one of a list, or `not` one of these."""
    if isinstance(wanted, Mapping):
        return not fits(value, wanted["not"])
    if isinstance(wanted, list | tuple):
        return any(_is(value, each) for each in wanted)
    return _is(value, wanted)


def _is(value: Any, wanted: Any) -> bool:
    # To Python, true is one.
    return isinstance(value, bool) == isinstance(wanted, bool) and bool(value == wanted)
