"""
A dry run: every step of a file filled in for a real record, and nobody called.

What a step would be answered is not known, so that a later step that uses it shows where it comes from:
`<steps.create.contact.id>`.
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from msgspec.structs import replace

from workers.actions.catalogue import ACTIONS
from workers.workflows.engine.advance import names
from workers.workflows.engine.redaction import redact
from workers.workflows.engine.render_step import StepCall, render_step
from workers.workflows.engine.state_machine import StepRecord, StepResult, WorkflowRun
from workers.workflows.format.templates import Later
from workers.workflows.format.workflow import Workflow, WorkflowStep
from workers.workflows.triggers.matching import at_path, fits


class RenderedStep(NamedTuple):
    """One step: what it would say, or what came of it at once; `mistakes` as sentences."""

    step: WorkflowStep
    input: Any
    remark: str
    mistakes: list[str]


def unmet_conditions(workflow: Workflow, record: Mapping[str, Any]) -> list[str]:
    """Return the paths of `where` whose values the record has not."""
    return [path for path, wanted in workflow.trigger.where.items() if not fits(at_path(record, path), wanted)]


def render_steps(
    workflow: Workflow, record: Mapping[str, Any], settings: Mapping[str, Any], now: datetime
) -> Iterator[RenderedStep]:
    """Fill in the steps one after the other, as if each were answered."""
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
    steps: dict[int, StepRecord] = {}
    later: set[str] = set()
    for position, step in enumerate(workflow.steps):
        run = WorkflowRun("queued", position, steps)
        decides = _decides(step, later)
        # What nobody can know yet is shown as if it were so.
        prepared = render_step(
            replace(step, when=None) if decides else step, names(workflow, row, run, secrets), now.timestamp()
        )
        yield _rendered(step, prepared, secrets, decides)
        output = prepared.output if isinstance(prepared, StepResult) and not decides else None
        if output is None:
            later.add(step.id)
        steps[position] = StepRecord("done", output=Later(f"steps.{step.id}") if output is None else output)


def _decides(step: WorkflowStep, later: set[str]) -> str | None:
    """Return the earlier step whose answer, which is not known yet, decides whether this one is done."""
    asked = step.when if step.kind != "condition" else f"{step.when or ''} {step.fields['condition']}"
    return next((name for name in _NAMED.findall(asked or "") if name in later), None)


# How a template names a step.
_NAMED = re.compile(r"\bsteps(?:\.|\[['\"])(\w+)")


def _rendered(
    step: WorkflowStep, prepared: StepCall | StepResult, secrets: Mapping[str, Any], decides: str | None
) -> RenderedStep:
    decided = f"steps.{decides} decides whether it is done" if decides else ""
    if isinstance(prepared, StepCall):
        mistakes = _mistakes(step, prepared.input)
        return RenderedStep(step, redact(prepared.input, secrets), decided, mistakes)
    if decides and step.kind == "condition":
        decided = f"steps.{decides} decides whether the run goes on"
    remark = decided or {
        "skipped": "would be passed over: `when` is false",
        "stop": "the run would end here: the condition is false",
        "done": "the condition is true",
        "wait": f"would wait for {step.fields.get('seconds')} seconds",
    }.get(prepared.verdict, "")
    return RenderedStep(step, None, remark, [str(redact(prepared.error, secrets))] if prepared.error else [])


def _mistakes(step: WorkflowStep, given: Mapping[str, Any]) -> list[str]:
    if step.kind != "action":
        return []
    found = ACTIONS[step.action].check(given)
    # What comes from an earlier step has the right form only once it is there.
    return [f"{field}: {text}" if field else text for field, text in found if not _is_later(given.get(field))]


def _is_later(value: Any) -> bool:
    return isinstance(value, str) and "<steps." in value
