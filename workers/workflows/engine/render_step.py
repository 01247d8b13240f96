"""From a step to what is to be said, or to its result where nothing needs to be said. Calls nobody."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from intercom_api.http.passthrough import AddressError, checked_path
from intercom_api.http.read_only import is_read_only
from workers.actions import ACTIONS
from workers.workflows.engine.state_machine import Result
from workers.workflows.format.templates import TemplateError, fill
from workers.workflows.format.workflow import Step

# A slash of a path's own, not one inside an expression.
_SLASH = re.compile(r"/(?![^{]*\}\})")

_ASKING_ACTIONS = frozenset({"get-contact", "search-contacts"})


class Call(NamedTuple):
    """
    Something to be said: `input` is the step's, filled in.

    `changes`: whether it may change something in Intercom, and then what, as far as is known before:
    `object` is its type and id, None if it is not known.
    """

    step: Step
    input: dict[str, Any]
    changes: Literal["nothing", "object", "message"]
    object: tuple[str, str] | None = None


def prepare(step: Step, names: Mapping[str, Any], now: float) -> Call | Result:
    """
    Fill a step's templates in.

    Args:
        step: of the workflow.
        names: what templates may name.
        now: unix seconds.
    """
    try:
        if step.when is not None and not fill({"when": step.when}, names)["when"]:
            return Result("skipped", {})
        if step.kind == "wait":
            return Result("wait", due_at=now + float(step.fields["seconds"]))
        return _KINDS[step.kind](step, names)
    except TemplateError as error:
        return Result("failed", error=str(error))


def _condition(step: Step, names: Mapping[str, Any]) -> Result:
    is_so = bool(fill(dict(step.fields), names)["condition"])
    return Result("done" if is_so else "stop", {"result": is_so})


def _http(step: Step, names: Mapping[str, Any]) -> Call:
    return Call(step, fill(dict(step.fields), names), "nothing")


def _action(step: Step, names: Mapping[str, Any]) -> Call:
    given = fill(dict(step.fields), names)
    if ACTIONS[step.action].name in _ASKING_ACTIONS:
        return Call(step, given, "nothing")
    name = {"update-contact": "id", "send-message": "contact_id"}.get(step.action)
    known = ("contact", str(given.get(name))) if name else None
    return Call(step, given, "message" if step.action == "send-message" else "object", known)


def _request(step: Step, names: Mapping[str, Any]) -> Call:
    fields = dict(step.fields)
    filled = {"path": path(str(fields.pop("path")), names), **fill(fields, names)}
    return Call(step, filled, "nothing" if is_read_only(filled["method"], filled["path"]) else "object")


def path(template: str, names: Mapping[str, Any]) -> str:
    """
    Fill a path in, so that no value can lead to another path than the one that is written.

    Raises:
        TemplateError: a part is empty, or leads elsewhere, or to what is not for workflows.
    """
    parts = [fill({"path": part}, names)["path"] for part in _SLASH.split(template.strip())[1:]]
    for part in parts:
        if part is None or isinstance(part, Mapping | list) or str(part) == "" or "/" in str(part):
            raise TemplateError("path: A part of the path is empty, or no id.")
    try:
        return checked_path("/".join(str(part) for part in parts))
    except AddressError as error:
        raise TemplateError(f"path: {error}") from None


_KINDS: dict[str, Callable[[Step, Mapping[str, Any]], Call | Result]] = {
    "action": _action,
    "request": _request,
    "http": _http,
    "condition": _condition,
}
