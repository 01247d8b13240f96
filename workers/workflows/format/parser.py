"""From the text of a file to a workflow, or to all of its mistakes."""

import re
from collections.abc import Collection

from workers.workflows.format import yaml_positions
from workers.workflows.format.step_parser import read_steps
from workers.workflows.format.value_reader import ValueReader, listed
from workers.workflows.format.workflow import (
    EVENTS,
    LIVE_SOURCES,
    SOURCES,
    InvalidWorkflowError,
    Mistake,
    Trigger,
    Workflow,
)
from workers.workflows.format.yaml_positions import Marked, plain
from workers.workflows.triggers.records import known_names

_TOP = ("name", "description", "trigger", "settings", "steps")
_TRIGGER = ("on", "where", "changed", "sources", "own_changes")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")


def read(text: str, settings: Collection[str] | None = None) -> Workflow:
    """
    Read a file.

    Args:
        text: of the file.
        settings: the names that there are in WORKFLOW_SETTINGS; None: whether they are there is not asked.

    Raises:
        MistakesError: with every mistake that was found.
    """
    notes = ValueReader()
    workflow = _workflow(notes, yaml_positions.read(text), settings)
    if notes.mistakes:
        raise InvalidWorkflowError(notes.mistakes)
    return workflow


def _workflow(notes: ValueReader, root: Marked, settings: Collection[str] | None) -> Workflow:
    top = notes.mapping(root, "A workflow", _TOP, ("name", "trigger", "steps"))
    name = _name(notes, top)
    trigger = _trigger(notes, top["trigger"]) if "trigger" in top else Trigger("contact.created")
    if "settings" in top:
        notes.settings = notes.texts(top["settings"], "`settings`")
        missing = [] if settings is None else [each for each in notes.settings if each and each not in settings]
        for each in missing:
            notes.note(top["settings"], f"The setting {each} is not in WORKFLOW_SETTINGS. Write it there.")
    steps = read_steps(notes, top["steps"]) if "steps" in top else ()
    return Workflow(name, trigger, steps, notes.settings)


def _name(notes: ValueReader, top: dict[str, Marked]) -> str:
    if "name" not in top:
        return ""
    name = notes.text(top["name"], "`name`")
    if name and not _NAME.fullmatch(name):
        notes.note(top["name"], "`name` must be lower-case letters, digits, - and _, 64 at most.")
    return name


def _trigger(notes: ValueReader, marked: Marked) -> Trigger:
    found = notes.mapping(marked, "`trigger`", _TRIGGER, ("on",))
    event = notes.text(found["on"], "`on`") if "on" in found else ""
    if event in EVENTS:
        notes.object_type = EVENTS[event][0]
    elif event:
        notes.note(found["on"], f"`on` cannot be {event}. Write one of {listed(EVENTS)}.")
    changed = notes.texts(found["changed"], "`changed`") if "changed" in found else ()
    if changed and event.endswith(".created"):
        notes.note(found["changed"], "`changed` is for what was updated; of what was created everything is new.")
    _known(notes, found.get("changed"), changed)
    where = plain(found["where"]) if "where" in found and _is_where(notes, found["where"]) else {}
    own = notes.truth(found["own_changes"], "`own_changes`") if "own_changes" in found else False
    return Trigger(event if event in EVENTS else "contact.created", where, changed, _sources(notes, found), own)


def _sources(notes: ValueReader, found: dict[str, Marked]) -> tuple[str, ...]:
    if "sources" not in found:
        return LIVE_SOURCES
    sources = notes.texts(found["sources"], "`sources`")
    for each in sources:
        if each and each not in SOURCES:
            notes.note(found["sources"], f"There is no source {each}. Write some of {listed(SOURCES)}.")
    return sources


def _is_where(notes: ValueReader, marked: Marked) -> bool:
    if not isinstance(marked.value, dict):
        notes.note(marked, "`where` must be a mapping of fields to wanted values.")
        return False
    for path, value in marked.value.items():
        _known(notes, value, (path.split(".")[0],))
        wanted = value.value
        if isinstance(wanted, dict):
            if set(wanted) != {"not"}:
                notes.note(value, f"{path} must be a value, a list of values, or `not:` with one of these.")
                continue
            wanted = wanted["not"].value
        many = wanted if isinstance(wanted, list) else []
        if isinstance(wanted, dict) or any(isinstance(each.value, dict | list) for each in many):
            notes.note(value, f"{path} is compared with plain values. Use a condition step for more.")
    return True


def _known(notes: ValueReader, marked: Marked | None, names: Collection[str]) -> None:
    if marked is None or notes.object_type is None:
        return
    known = known_names(notes.object_type)
    for name in names:
        if name and name not in known:
            there = ", ".join(sorted(known))
            notes.note(marked, f"A {notes.object_type} has no {name}; there is {there}.")


def mistake(text: str) -> InvalidWorkflowError:
    """Return the error of a file that could not even be read."""
    return InvalidWorkflowError([Mistake(1, text)])
