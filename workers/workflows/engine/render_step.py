"""From a step to what is to be said, or to its result where nothing needs to be said. Calls nobody."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from intercom_api.http.passthrough import InvalidAddressError, check_path
from intercom_api.http.read_only import is_read_only
from workers.actions.catalogue import ACTIONS
from workers.workflows.engine.state_machine import StepResult
from workers.workflows.format.templates import TemplateError, render
from workers.workflows.format.workflow import WorkflowStep

# A slash of a path's own, not one inside an expression.
_SLASH = re.compile(r"/(?![^{]*\}\})")

_ASKING_ACTIONS = frozenset({"get-contact", "search-contacts"})


class StepCall(NamedTuple):
    """
    Something to be said: `input` is the step's, filled in.

    `changes`: whether it may change something in Intercom, and then what, as far as is known before:
    `object` is its type and id, None if it is not known.
    """

    step: WorkflowStep
    input: dict[str, Any]
    changes: Literal["nothing", "object", "message"]
    object: tuple[str, str] | None = None


def render_step(step: WorkflowStep, names: Mapping[str, Any], now: float) -> StepCall | StepResult:
    """
    Fill a step's templates in.

    Args:
        step: of the workflow.
        names: what templates may name.
        now: unix seconds.
    """
    try:
        if step.when is not None and not render({"when": step.when}, names)["when"]:
            return StepResult("skipped", {})
        if step.kind == "wait":
            return StepResult("wait", due_at=now + float(step.fields["seconds"]))
        return _KINDS[step.kind](step, names)
    except TemplateError as error:
        return StepResult("failed", error=str(error))


def _condition(step: WorkflowStep, names: Mapping[str, Any]) -> StepResult:
    is_so = bool(render(dict(step.fields), names)["condition"])
    return StepResult("done" if is_so else "stop", {"result": is_so})


def _http(step: WorkflowStep, names: Mapping[str, Any]) -> StepCall:
    return StepCall(step, render(dict(step.fields), names), "nothing")


def _action(step: WorkflowStep, names: Mapping[str, Any]) -> StepCall:
    given = render(dict(step.fields), names)
    if ACTIONS[step.action].name in _ASKING_ACTIONS:
        return StepCall(step, given, "nothing")
    name = {"update-contact": "id", "send-message": "contact_id"}.get(step.action)
    known = ("contact", str(given.get(name))) if name else None
    return StepCall(step, given, "message" if step.action == "send-message" else "object", known)


def _request(step: WorkflowStep, names: Mapping[str, Any]) -> StepCall:
    fields = dict(step.fields)
    filled = {"path": render_path(str(fields.pop("path")), names), **render(fields, names)}
    return StepCall(step, filled, "nothing" if is_read_only(filled["method"], filled["path"]) else "object")


def render_path(template: str, names: Mapping[str, Any]) -> str:
    """
    Fill a path in, so that no value can lead to another path than the one that is written.

    Raises:
        TemplateError: a part is empty, or leads elsewhere, or to what is not for workflows.
    """
    parts = [render({"path": part}, names)["path"] for part in _SLASH.split(template.strip())[1:]]
    for part in parts:
        if part is None or isinstance(part, Mapping | list) or str(part) == "" or "/" in str(part):
            raise TemplateError("path: A part of the path is empty, or no id.")
    try:
        return check_path("/".join(str(part) for part in parts))
    except InvalidAddressError as error:
        raise TemplateError(f"path: {error}") from None


_KINDS: dict[str, Callable[[WorkflowStep, Mapping[str, Any]], StepCall | StepResult]] = {
    "action": _action,
    "request": _request,
    "http": _http,
    "condition": _condition,
}
