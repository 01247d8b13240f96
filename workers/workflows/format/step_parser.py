"""Reading the steps of a workflow file."""

import re
from typing import Any

from workers.actions.catalogue import ACTIONS
from workers.workflows.format.templates import TemplateError, is_lone
from workers.workflows.format.value_reader import ValueReader, listed
from workers.workflows.format.workflow import REPEATABLE_METHODS, StepKind, WorkflowStep
from workers.workflows.format.yaml_positions import Marked, plain

_KINDS: tuple[StepKind, ...] = ("action", "request", "http", "condition", "wait")
# What a step may have beside its kind.
_COMMON = ("id", "when", "description")
_MORE: dict[StepKind, tuple[str, ...]] = {
    "action": ("with",),
    "request": ("repeatable",),
    "http": ("repeatable",),
    "condition": (),
    "wait": (),
}
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_ID = re.compile(r"[a-z][a-z0-9_]{0,63}")


def read_steps(notes: ValueReader, marked: Marked) -> tuple[WorkflowStep, ...]:
    """Read them all; mistakes are noted."""
    if not isinstance(marked.value, list) or not marked.value:
        notes.note(marked, "`steps` must be a list with at least one step.")
        return ()
    read = [_step(notes, each) for each in marked.value]
    return tuple(step for step in read if step is not None)


def _step(notes: ValueReader, marked: Marked) -> WorkflowStep | None:
    if not isinstance(marked.value, dict):
        notes.note(marked, "A step must be a mapping.")
        return None
    kinds = [kind for kind in _KINDS if kind in marked.value]
    if len(kinds) != 1:
        notes.note(marked, f"A step needs one of {listed(_KINDS)}{', and only one' if kinds else ''}.")
        return None
    [kind] = kinds
    found = notes.mapping(marked, "A step", (*_COMMON, kind, *_MORE[kind]), ("id",))
    when = _condition(notes, found["when"], "`when`") if "when" in found else None
    fields = _READERS[kind](notes, found)
    repeatable = notes.truth(found["repeatable"], "`repeatable`") if "repeatable" in found else False
    if kind in ("request", "http") and "repeatable" not in found:
        repeatable = fields.get("method") in REPEATABLE_METHODS
    action = str(found["action"].value) if kind == "action" else ""
    return WorkflowStep(_id(notes, found), kind, fields, action, when, repeatable)


def _id(notes: ValueReader, found: dict[str, Marked]) -> str:
    if "id" not in found:
        return ""
    name = notes.text(found["id"], "`id`")
    if name and not _ID.fullmatch(name):
        notes.note(found["id"], "`id` must be lower-case letters, digits and _, beginning with a letter.")
    elif name in notes.steps:
        notes.note(found["id"], f"Another step is called {name} too.")
    # From here on later steps may name it.
    notes.steps.append(name)
    return name


def _condition(notes: ValueReader, marked: Marked, what: str) -> Any:
    if not isinstance(marked.value, bool) and not _is_expression(marked.value):
        notes.note(marked, f"{what} must be one expression in {{{{ }}}}, such as \"{{{{ record.role == 'user' }}}}\".")
    notes.templates(marked)
    return marked.value


def _is_expression(value: Any) -> bool:
    try:
        return isinstance(value, str) and is_lone(value)
    except TemplateError:
        # Said where the templates are looked at.
        return True


def _action(notes: ValueReader, found: dict[str, Marked]) -> dict[str, Any]:
    if found["action"].value not in ACTIONS:
        notes.note(found["action"], f"There is no such action. Write one of {listed(sorted(ACTIONS))}.")
        return {}
    if "with" not in found:
        notes.note(found["action"], "An action needs `with`, a mapping with its input.")
        return {}
    notes.templates(found["with"])
    schema = ACTIONS[found["action"].value].schema
    given = notes.mapping(found["with"], "`with`", sorted(schema["properties"]), schema.get("required", ()))
    return {name: plain(value) for name, value in given.items()}


def _request(notes: ValueReader, found: dict[str, Marked]) -> dict[str, Any]:
    inner = notes.mapping(found["request"], "`request`", ("method", "path", "query", "body"), ("path",))
    notes.templates(found["request"])
    path = notes.text(inner["path"], "`path`") if "path" in inner else "/"
    if not path.startswith("/") or path.startswith("//") or "?" in path.split("{{")[0]:
        notes.note(inner["path"], "`path` must be Intercom's, beginning with one /; put what follows ? into `query`.")
    if "query" in inner and not isinstance(inner["query"].value, dict):
        notes.note(inner["query"], "`query` must be a mapping.")
    return {name: plain(value) for name, value in inner.items()} | {"method": _method(notes, inner)}


def _method(notes: ValueReader, inner: dict[str, Marked]) -> str:
    if "method" not in inner:
        return "GET"
    method = str(inner["method"].value).upper()
    if method not in _METHODS:
        notes.note(inner["method"], f"`method` must be one of {listed(_METHODS)}.")
    return method


def _http(notes: ValueReader, found: dict[str, Marked]) -> dict[str, Any]:
    inner = notes.mapping(found["http"], "`http`", ("url", "headers", "body"), ("url",))
    notes.templates(found["http"])
    url = notes.text(inner["url"], "`url`") if "url" in inner else "{{"
    if url and not url.startswith(("https://", "http://", "{{")):
        notes.note(inner["url"], "`url` must begin with https:// or with a setting.")
    if "headers" in inner and not isinstance(inner["headers"].value, dict):
        notes.note(inner["headers"], "`headers` must be a mapping.")
    return {name: plain(value) for name, value in inner.items()}


def _wait(notes: ValueReader, found: dict[str, Marked]) -> dict[str, Any]:
    return {"seconds": notes.seconds(found["wait"], "`wait`")}


_READERS: dict[StepKind, Any] = {
    "action": _action,
    "request": _request,
    "http": _http,
    "condition": lambda notes, found: {"condition": _condition(notes, found["condition"], "`condition`")},
    "wait": _wait,
}
