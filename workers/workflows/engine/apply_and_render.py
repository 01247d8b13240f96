"""Advances a run from the result of a step to the next step that needs a request. Sends no requests itself."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from workers.workflows.engine import decide_next_step
from workers.workflows.engine.decide_next_step import ApplyResult, StartStep, StepResult, WorkflowRun
from workers.workflows.engine.redaction import redact, storable
from workers.workflows.engine.render_step import StepCall, render_step
from workers.workflows.engine.run_store import LeasedRun, RunUpdate, StepEffects
from workers.workflows.format.workflow import Workflow
from workers.workflows.triggers import own_changes


class FinishedCall(NamedTuple):
    """The call of a run's present step, and its result."""

    call: StepCall
    result: StepResult


class AdvancedRun(NamedTuple):
    """The new state of a run, to be written; after that `call` is to be executed. None: nothing now."""

    update: RunUpdate
    call: StepCall | None


def advance(
    leased: LeasedRun, finished: FinishedCall | None, settings: Mapping[str, Any], now: float, *, may_start: bool
) -> AdvancedRun:
    """
    Advance a run.

    1. Apply the result of the finished call, if there is one.
    2. Get the next move from the state machine. If it is a result, apply it and repeat.
    3. To start a step, render it. If that gives a result (a condition, a wait, `when` is false, an error), apply it and
       repeat from 2. If it gives a call, stop here: the caller writes the run and then executes the call.
    4. Stop if the run has ended or has to wait.

    Args:
        leased: the run.
        finished: the call of its present step and its result, if one was executed.
        settings: WORKFLOW_SETTINGS.
        now: unix seconds.
        may_start: whether steps may start; False if the process is about to stop.
    """
    workflow = leased.workflow
    secrets = {name: settings[name] for name in workflow.settings if name in settings}
    run, effects = leased.run, [] if finished is None else _effects_after(leased, finished, now)
    if finished is not None:
        result = _redacted(finished.result, finished.call.input, secrets)
        run = decide_next_step.apply_result(run, workflow, result, now)
    while run.is_open:
        move = decide_next_step.next_step(run, workflow, now)
        if isinstance(move, ApplyResult):
            run = decide_next_step.apply_result(run, workflow, move.result, now)
        elif isinstance(move, StartStep) and may_start:
            run = decide_next_step.start_step(run, move, now)
            names = template_names(workflow, leased.row, run, secrets)
            rendered = render_step(workflow.steps[run.position], names, now)
            if isinstance(rendered, StepCall):
                run = decide_next_step.with_input(run, redact(rendered.input, secrets))
                effects = [*effects, *_effects_before(run, rendered)]
                return AdvancedRun(RunUpdate(leased, run, effects, keep_lease=True), rendered)
            run = decide_next_step.apply_result(run, workflow, _redacted(rendered, None, secrets), now)
        else:
            break
    return AdvancedRun(RunUpdate(leased, run, effects, keep_lease=False), None)


def template_names(
    workflow: Workflow, row: Mapping[str, Any], run: WorkflowRun, secrets: Mapping[str, Any]
) -> dict[str, Any]:
    """Return the names that the templates of a run may use, with their values."""
    started_at: datetime = row["started_at"]
    results = {
        workflow.steps[position].id: record.output if record.output is not None else {}
        for position, record in run.steps.items()
        if record.state in ("done", "skipped")
    }
    return {
        "record": row["record"],
        "change": row["change"],
        "steps": results,
        "settings": dict(secrets),
        "run": {"id": row["id"], "workflow": workflow.name, "started_at": int(started_at.timestamp())},
        "workspace": {"id": row["workspace_id"]},
    }


def _redacted(result: StepResult, given: Any, secrets: Mapping[str, Any]) -> StepResult:
    # Later steps see the stored form, so that a run ends the same whether or not a process crashed in between.
    clean = redact({"output": result.output, "error": result.error, "input": given}, secrets)
    return msgspec.structs.replace(result, output=storable(clean["output"]), error=clean["error"], input=clean["input"])


def _effects_before(run: WorkflowRun, call: StepCall) -> list[StepEffects]:
    if call.changes == "nothing":
        return []
    objects = [(*call.object, None)] if call.object else []
    return [StepEffects(run.position, objects, call.changes == "message", _started_at(run), None)]


def _effects_after(leased: LeasedRun, finished: FinishedCall, now: float) -> list[StepEffects]:
    call = finished.call
    if call.changes == "nothing":
        return []
    objects: list[tuple[str | None, str | None, int | None]] = [*own_changes.objects_in(finished.result.output)]
    if call.object is not None and call.object not in {
        (object_type, object_id) for object_type, object_id, _ in objects
    }:
        objects.append((*call.object, None))
    ended_at = datetime.fromtimestamp(now, UTC)
    started_at = _started_at(leased.run)
    return [StepEffects(leased.run.position, objects, call.changes == "message", started_at, ended_at)]


def _started_at(run: WorkflowRun) -> datetime:
    return datetime.fromtimestamp(run.steps[run.position].started_at, UTC)
