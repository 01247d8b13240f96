"""
A dry run: the steps of a file are rendered for a real record, and no request is sent.

The result of a step is unknown, so a later step that uses it shows its path, such as `<steps.create.contact.id>`.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace

from workers.actions.catalogue import ACTIONS
from workers.workflows.engine.apply_and_render import template_names
from workers.workflows.engine.decide_next_step import StepRecord, StepResult, WorkflowRun
from workers.workflows.engine.redaction import redact
from workers.workflows.engine.render_step import StepCall, render_step
from workers.workflows.format.templates import PendingValue
from workers.workflows.format.workflow import Workflow, WorkflowStep
from workers.workflows.triggers.matching import matches, value_at

# A reference to an earlier step in a template.
_STEP_REFERENCE = re.compile(r"\bsteps(?:\.|\[['\"])(\w+)")


class RenderedStep(NamedTuple):
    """A step with its rendered input, a remark about what it would do, and its mistakes as sentences."""

    step: WorkflowStep
    input: Any
    remark: str
    mistakes: list[str]


def unmet_conditions(workflow: Workflow, record: Mapping[str, Any]) -> list[str]:
    """Return the paths of `where` at which the record has another value."""
    where = workflow.trigger.where
    return [path for path, wanted in where.items() if not matches(value_at(record, path), wanted)]


def render_steps(
    workflow: Workflow, record: Mapping[str, Any], settings: Mapping[str, Any], now: datetime
) -> Iterator[RenderedStep]:
    """Render the steps in order, as if each had succeeded."""
    secrets = {name: settings[name] for name in workflow.settings if name in settings}
    change = {
        "seq": 0,
        "object_type": workflow.trigger.object_type,
        "object_id": record["id"],
        "op": workflow.trigger.op,
        "changed_fields": list(workflow.trigger.changed),
        "source": workflow.trigger.sources[0],
        "at": int(now.timestamp()),
    }
    row = {"id": 0, "record": dict(record), "change": change, "workspace_id": record["workspace_id"], "started_at": now}
    records: dict[int, StepRecord] = {}
    pending: set[str] = set()
    for position, step in enumerate(workflow.steps):
        run = WorkflowRun("queued", position, records)
        deciding = _deciding_step(step, pending)
        names = template_names(workflow, row, run, secrets)
        # A `when` that is not known yet is shown as if it were true.
        rendered = render_step(replace(step, when=None) if deciding else step, names, now.timestamp())
        yield _rendered_step(step, rendered, secrets, deciding)
        output = rendered.output if isinstance(rendered, StepResult) and not deciding else None
        if output is None:
            pending.add(step.id)
        records[position] = StepRecord("done", output=PendingValue(f"steps.{step.id}") if output is None else output)


def _deciding_step(step: WorkflowStep, pending: set[str]) -> str | None:
    """Return the earlier step whose unknown result decides whether this one runs."""
    expressions = step.when if step.kind != "condition" else f"{step.when or ''} {step.fields['condition']}"
    return next((name for name in _STEP_REFERENCE.findall(expressions or "") if name in pending), None)


def _rendered_step(
    step: WorkflowStep, rendered: StepCall | StepResult, secrets: Mapping[str, Any], deciding: str | None
) -> RenderedStep:
    remark = f"steps.{deciding} decides whether this step runs" if deciding else ""
    if isinstance(rendered, StepCall):
        mistakes = _input_mistakes(step, rendered.input)
        return RenderedStep(step, redact(rendered.input, secrets), remark, mistakes)
    if deciding and step.kind == "condition":
        remark = f"steps.{deciding} decides whether the run continues"
    remark = remark or {
        "skipped": "would be skipped: `when` is false",
        "stop": "the run would end here: the condition is false",
        "done": "the condition is true",
        "wait": f"would wait for {step.fields.get('seconds')} seconds",
    }.get(rendered.verdict, "")
    return RenderedStep(step, None, remark, [str(redact(rendered.error, secrets))] if rendered.error else [])


def _input_mistakes(step: WorkflowStep, given: Mapping[str, Any]) -> list[str]:
    if step.kind != "action":
        return []
    mistakes = ACTIONS[step.action].check(given)
    # A pending value gets its type only when the earlier step has run.
    return [f"{field}: {text}" if field else text for field, text in mistakes if not _is_pending(given.get(field))]


def _is_pending(value: Any) -> bool:
    return isinstance(value, str) and "<steps." in value
