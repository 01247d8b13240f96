"""Renders a step: to the call that it makes, or directly to its result if it needs no request. Sends no requests."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

from intercom_api.http.passthrough import InvalidAddressError, check_path
from intercom_api.http.read_only import is_read_only
from workers.workflows.engine.decide_next_step import StepResult
from workers.workflows.format.templates import TemplateError, render
from workers.workflows.format.workflow import WorkflowStep

# A slash of the path itself, not one inside an expression.
_SLASH = re.compile(r"/(?![^{]*\}\})")

# Actions that change nothing in Intercom.
_READ_ONLY_ACTIONS = frozenset({"get-contact", "search-contacts"})


class StepCall(NamedTuple):
    """
    The request of a step; `input` is that of the step with its templates rendered.

    `changes`: what it may change in Intercom. `object`: the type and id of the object that it changes; None if that is
    not known before.
    """

    step: WorkflowStep
    input: dict[str, Any]
    changes: Literal["nothing", "object", "message"]
    object: tuple[str, str] | None = None


def render_step(step: WorkflowStep, names: Mapping[str, Any], now: float) -> StepCall | StepResult:
    """
    Render the templates of a step.

    Args:
        step: of the workflow.
        names: that templates may use, with their values.
        now: unix seconds.
    """
    try:
        if step.when is not None and not render({"when": step.when}, names)["when"]:
            return StepResult("skipped", {})
        if step.kind == "wait":
            return StepResult("wait", due_at=now + float(step.fields["seconds"]))
        return _RENDERERS[step.kind](step, names)
    except TemplateError as error:
        return StepResult("failed", error=str(error))


def _condition(step: WorkflowStep, names: Mapping[str, Any]) -> StepResult:
    is_true = bool(render(dict(step.fields), names)["condition"])
    return StepResult("done" if is_true else "stop", {"result": is_true})


def _http(step: WorkflowStep, names: Mapping[str, Any]) -> StepCall:
    return StepCall(step, render(dict(step.fields), names), "nothing")


def _action(step: WorkflowStep, names: Mapping[str, Any]) -> StepCall:
    given = render(dict(step.fields), names)
    if step.action in _READ_ONLY_ACTIONS:
        return StepCall(step, given, "nothing")
    id_field = {"update-contact": "id", "send-message": "contact_id"}.get(step.action)
    known = ("contact", str(given.get(id_field))) if id_field else None
    return StepCall(step, given, "message" if step.action == "send-message" else "object", known)


def _request(step: WorkflowStep, names: Mapping[str, Any]) -> StepCall:
    fields = dict(step.fields)
    rendered = {"path": render_path(str(fields.pop("path")), names), **render(fields, names)}
    return StepCall(step, rendered, "nothing" if is_read_only(rendered["method"], rendered["path"]) else "object")


def render_path(template: str, names: Mapping[str, Any]) -> str:
    """
    Render a path so that no value can change which path it is.

    Raises:
        TemplateError: a part is empty or contains a slash, or workflows may not use the path.
    """
    parts = [render({"path": part}, names)["path"] for part in _SLASH.split(template.strip())[1:]]
    for part in parts:
        if part is None or isinstance(part, Mapping | list) or str(part) == "" or "/" in str(part):
            raise TemplateError("path: A part of the path is empty or not an id.")
    try:
        return check_path("/".join(str(part) for part in parts))
    except InvalidAddressError as error:
        raise TemplateError(f"path: {error}") from None


_RENDERERS: dict[str, Callable[[WorkflowStep, Mapping[str, Any]], StepCall | StepResult]] = {
    "action": _action,
    "request": _request,
    "http": _http,
    "condition": _condition,
}
