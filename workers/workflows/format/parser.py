"""From the text of a workflow file to a workflow, or to all of its mistakes."""

import re
from collections.abc import Collection
from typing import Any

from workers.actions.catalogue import ACTIONS
from workers.workflows.format.templates import TemplateError, is_single_expression
from workers.workflows.format.value_reader import ValueReader, listed
from workers.workflows.format.workflow import (
    EVENTS,
    LIVE_SOURCES,
    REPEATABLE_METHODS,
    SOURCES,
    InvalidWorkflowError,
    StepKind,
    Trigger,
    Workflow,
    WorkflowStep,
)
from workers.workflows.format.yaml_positions import MarkedValue, parse_yaml, without_positions
from workers.workflows.triggers.records import known_names

_WORKFLOW_KEYS = ("name", "description", "trigger", "settings", "steps")
_TRIGGER_KEYS = ("on", "where", "changed", "sources", "own_changes")
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

_KINDS: tuple[StepKind, ...] = ("action", "request", "http", "condition", "wait")
# Keys of a step of any kind, and further ones by kind.
_STEP_KEYS = ("id", "when", "description")
_KIND_KEYS: dict[StepKind, tuple[str, ...]] = {
    "action": ("with",),
    "request": ("repeatable",),
    "http": ("repeatable",),
    "condition": (),
    "wait": (),
}
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_STEP_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")


def parse_workflow(text: str, settings: Collection[str] | None = None) -> Workflow:
    """
    Parse and check a file.

    Args:
        text: of the file.
        settings: the names in WORKFLOW_SETTINGS; None: do not check that the file's settings exist.

    Raises:
        InvalidWorkflowError: with every mistake in the file.
    """
    reader = ValueReader()
    workflow = _workflow(reader, parse_yaml(text), settings)
    if reader.mistakes:
        raise InvalidWorkflowError(reader.mistakes)
    return workflow


def _workflow(reader: ValueReader, root: MarkedValue, settings: Collection[str] | None) -> Workflow:
    members = reader.mapping(root, "A workflow", _WORKFLOW_KEYS, ("name", "trigger", "steps"))
    name = _workflow_name(reader, members)
    trigger = _trigger(reader, members["trigger"]) if "trigger" in members else Trigger("contact.created")
    if "settings" in members:
        reader.settings = reader.texts(members["settings"], "`settings`")
        missing = [] if settings is None else [each for each in reader.settings if each and each not in settings]
        for each in missing:
            reader.add_mistake(members["settings"], f"The setting {each} is not in WORKFLOW_SETTINGS. Add it there.")
    steps = _steps(reader, members["steps"]) if "steps" in members else ()
    return Workflow(name, trigger, steps, reader.settings)


def _workflow_name(reader: ValueReader, members: dict[str, MarkedValue]) -> str:
    if "name" not in members:
        return ""
    name = reader.text(members["name"], "`name`")
    if name and not _NAME.fullmatch(name):
        reader.add_mistake(members["name"], "`name` must be at most 64 lower-case letters, digits, - and _.")
    return name


def _trigger(reader: ValueReader, marked: MarkedValue) -> Trigger:
    members = reader.mapping(marked, "`trigger`", _TRIGGER_KEYS, ("on",))
    event = reader.text(members["on"], "`on`") if "on" in members else ""
    if event in EVENTS:
        reader.object_type = EVENTS[event][0]
    elif event:
        reader.add_mistake(members["on"], f"`on` must not be {event}. Use one of {listed(EVENTS)}.")
    changed = reader.texts(members["changed"], "`changed`") if "changed" in members else ()
    if changed and event.endswith(".created"):
        reader.add_mistake(members["changed"], "`changed` is only for updated events; in a created one, all is new.")
    _check_record_names(reader, members.get("changed"), changed)
    has_where = "where" in members and _is_valid_where(reader, members["where"])
    where = without_positions(members["where"]) if has_where else {}
    own = reader.boolean(members["own_changes"], "`own_changes`") if "own_changes" in members else False
    return Trigger(event if event in EVENTS else "contact.created", where, changed, _sources(reader, members), own)


def _sources(reader: ValueReader, members: dict[str, MarkedValue]) -> tuple[str, ...]:
    if "sources" not in members:
        return LIVE_SOURCES
    sources = reader.texts(members["sources"], "`sources`")
    for each in sources:
        if each and each not in SOURCES:
            reader.add_mistake(members["sources"], f"Unknown source {each}. Use some of {listed(SOURCES)}.")
    return sources


def _is_valid_where(reader: ValueReader, marked: MarkedValue) -> bool:
    if not isinstance(marked.value, dict):
        reader.add_mistake(marked, "`where` must be a mapping from fields to wanted values.")
        return False
    for path, value in marked.value.items():
        _check_record_names(reader, value, (path.split(".")[0],))
        wanted = value.value
        if isinstance(wanted, dict):
            if set(wanted) != {"not"}:
                reader.add_mistake(value, f"{path} must be a value, a list of values, or `not:` with one of these.")
                continue
            wanted = wanted["not"].value
        many = wanted if isinstance(wanted, list) else []
        if isinstance(wanted, dict) or any(isinstance(each.value, dict | list) for each in many):
            reader.add_mistake(value, f"{path} can only be compared with plain values. Use a condition step for more.")
    return True


def _check_record_names(reader: ValueReader, marked: MarkedValue | None, names: Collection[str]) -> None:
    if marked is None or reader.object_type is None:
        return
    known = known_names(reader.object_type)
    for name in names:
        if name and name not in known:
            reader.add_mistake(
                marked, f"A {reader.object_type} has no field {name}; known fields: {', '.join(sorted(known))}."
            )


def _steps(reader: ValueReader, marked: MarkedValue) -> tuple[WorkflowStep, ...]:
    if not isinstance(marked.value, list) or not marked.value:
        reader.add_mistake(marked, "`steps` must be a list of at least one step.")
        return ()
    steps = [_step(reader, each) for each in marked.value]
    return tuple(step for step in steps if step is not None)


def _step(reader: ValueReader, marked: MarkedValue) -> WorkflowStep | None:
    if not isinstance(marked.value, dict):
        reader.add_mistake(marked, "A step must be a mapping.")
        return None
    kinds = [kind for kind in _KINDS if kind in marked.value]
    if len(kinds) != 1:
        reader.add_mistake(marked, f"A step needs one of {listed(_KINDS)}{', and only one' if kinds else ''}.")
        return None
    [kind] = kinds
    members = reader.mapping(marked, "A step", (*_STEP_KEYS, kind, *_KIND_KEYS[kind]), ("id",))
    when = _condition(reader, members["when"], "`when`") if "when" in members else None
    fields = _FIELD_PARSERS[kind](reader, members)
    repeatable = reader.boolean(members["repeatable"], "`repeatable`") if "repeatable" in members else False
    if kind in ("request", "http") and "repeatable" not in members:
        repeatable = fields.get("method") in REPEATABLE_METHODS
    action = str(members["action"].value) if kind == "action" else ""
    return WorkflowStep(_step_id(reader, members), kind, fields, action, when, repeatable)


def _step_id(reader: ValueReader, members: dict[str, MarkedValue]) -> str:
    if "id" not in members:
        return ""
    name = reader.text(members["id"], "`id`")
    if name and not _STEP_ID.fullmatch(name):
        reader.add_mistake(members["id"], "`id` must be lower-case letters, digits and _, beginning with a letter.")
    elif name in reader.steps:
        reader.add_mistake(members["id"], f"Another step has the id {name} too.")
    # From here on, later steps may use its result.
    reader.steps.append(name)
    return name


def _condition(reader: ValueReader, marked: MarkedValue, what: str) -> Any:
    if not isinstance(marked.value, bool) and not _may_be_expression(marked.value):
        example = "\"{{ record.role == 'user' }}\""
        reader.add_mistake(marked, f"{what} must be one expression in {{{{ }}}}, such as {example}.")
    reader.check_templates(marked)
    return marked.value


def _may_be_expression(value: Any) -> bool:
    try:
        return isinstance(value, str) and is_single_expression(value)
    except TemplateError:
        # `check_templates` reports it.
        return True


def _action_fields(reader: ValueReader, members: dict[str, MarkedValue]) -> dict[str, Any]:
    if members["action"].value not in ACTIONS:
        reader.add_mistake(members["action"], f"Unknown action. Use one of {listed(sorted(ACTIONS))}.")
        return {}
    if "with" not in members:
        reader.add_mistake(members["action"], "An action needs `with`, a mapping with its input.")
        return {}
    reader.check_templates(members["with"])
    schema = ACTIONS[members["action"].value].schema
    given = reader.mapping(members["with"], "`with`", sorted(schema["properties"]), schema.get("required", ()))
    return {name: without_positions(value) for name, value in given.items()}


def _request_fields(reader: ValueReader, members: dict[str, MarkedValue]) -> dict[str, Any]:
    fields = reader.mapping(members["request"], "`request`", ("method", "path", "query", "body"), ("path",))
    reader.check_templates(members["request"])
    path = reader.text(fields["path"], "`path`") if "path" in fields else "/"
    if not path.startswith("/") or path.startswith("//") or "?" in path.split("{{")[0]:
        reader.add_mistake(
            fields["path"], "`path` must be a path of Intercom's API beginning with one /. Use `query` for the query."
        )
    if "query" in fields and not isinstance(fields["query"].value, dict):
        reader.add_mistake(fields["query"], "`query` must be a mapping.")
    return {name: without_positions(value) for name, value in fields.items()} | {"method": _method(reader, fields)}


def _method(reader: ValueReader, fields: dict[str, MarkedValue]) -> str:
    if "method" not in fields:
        return "GET"
    method = str(fields["method"].value).upper()
    if method not in _METHODS:
        reader.add_mistake(fields["method"], f"`method` must be one of {listed(_METHODS)}.")
    return method


def _http_fields(reader: ValueReader, members: dict[str, MarkedValue]) -> dict[str, Any]:
    fields = reader.mapping(members["http"], "`http`", ("url", "headers", "body"), ("url",))
    reader.check_templates(members["http"])
    url = reader.text(fields["url"], "`url`") if "url" in fields else "{{"
    if url and not url.startswith(("https://", "http://", "{{")):
        reader.add_mistake(fields["url"], "`url` must begin with https:// or with a setting.")
    if "headers" in fields and not isinstance(fields["headers"].value, dict):
        reader.add_mistake(fields["headers"], "`headers` must be a mapping.")
    return {name: without_positions(value) for name, value in fields.items()}


def _wait_fields(reader: ValueReader, members: dict[str, MarkedValue]) -> dict[str, Any]:
    return {"seconds": reader.seconds(members["wait"], "`wait`")}


def _condition_fields(reader: ValueReader, members: dict[str, MarkedValue]) -> dict[str, Any]:
    return {"condition": _condition(reader, members["condition"], "`condition`")}


_FIELD_PARSERS: dict[StepKind, Any] = {
    "action": _action_fields,
    "request": _request_fields,
    "http": _http_fields,
    "condition": _condition_fields,
    "wait": _wait_fields,
}
