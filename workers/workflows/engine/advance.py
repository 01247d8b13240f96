"""How far a run gets by itself: on from a step's result to the next thing that must be said. Calls nobody."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec

from workers.workflows.engine import state_machine
from workers.workflows.engine.redaction import kept, redact
from workers.workflows.engine.render_step import StepCall, render_step
from workers.workflows.engine.run_store import LeasedRun, RunUpdate, StepEffects
from workers.workflows.engine.state_machine import Begin, Close, StepResult, WorkflowRun
from workers.workflows.format.workflow import Workflow
from workers.workflows.triggers import own_changes


class Said(NamedTuple):
    """What was said for a run's present step, and what came of it."""

    call: StepCall
    result: StepResult


class Standing(NamedTuple):
    """How a run stands, to be written; then `call` is to be said; None: nothing now."""

    change: RunUpdate
    call: StepCall | None


def advance(held: LeasedRun, said: Said | None, settings: Mapping[str, Any], now: float, *, begin: bool) -> Standing:
    """
    Bring a run on.

    Args:
        held: the run.
        said: what came of its present step, if something was said.
        settings: WORKFLOW_SETTINGS.
        now: unix seconds.
        begin: whether steps may be begun; not if the process is about to stop.
    """
    secrets = {name: settings[name] for name in held.workflow.settings if name in settings}
    run, notes = held.run, [] if said is None else _ended(held, said, now)
    if said is not None:
        run = state_machine.after(run, held.workflow, _redacted(said.result, said.call.input, secrets), now)
    while run.is_open:
        move = state_machine.next_step(run, held.workflow, now)
        if isinstance(move, Close):
            run = state_machine.after(run, held.workflow, move.result, now)
        elif isinstance(move, Begin) and begin:
            run = state_machine.begun(run, move, now)
            prepared = render_step(held.workflow.steps[run.position], names(held.workflow, held.row, run, secrets), now)
            if isinstance(prepared, StepCall):
                run = state_machine.noted(run, redact(prepared.input, secrets))
                return Standing(RunUpdate(held, run, [*notes, *_beginning(run, prepared)], keep=True), prepared)
            run = state_machine.after(run, held.workflow, _redacted(prepared, None, secrets), now)
        else:
            break
    return Standing(RunUpdate(held, run, notes, keep=False), None)


def names(workflow: Workflow, row: Mapping[str, Any], run: WorkflowRun, secrets: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the templates of a run may name."""
    started_at: datetime = row["started_at"]
    done = {
        workflow.steps[position].id: record.output if record.output is not None else {}
        for position, record in run.steps.items()
        if record.state in ("done", "skipped")
    }
    return {
        "record": row["record"],
        "change": row["change"],
        "steps": done,
        "settings": dict(secrets),
        "run": {"id": row["id"], "workflow": workflow.name, "started_at": int(started_at.timestamp())},
        "workspace": {"id": row["workspace_id"]},
    }


def _redacted(result: StepResult, given: Any, secrets: Mapping[str, Any]) -> StepResult:
    # What later steps see is what is kept, so that a run ends the same whether or not a process died in between.
    clean = redact({"output": result.output, "error": result.error, "input": given}, secrets)
    return msgspec.structs.replace(result, output=kept(clean["output"]), error=clean["error"], input=clean["input"])


def _beginning(run: WorkflowRun, call: StepCall) -> list[StepEffects]:
    if call.changes == "nothing":
        return []
    objects = [(*call.object, None)] if call.object else []
    return [StepEffects(run.position, objects, call.changes == "message", _since(run), None)]


def _ended(held: LeasedRun, said: Said, now: float) -> list[StepEffects]:
    if said.call.changes == "nothing":
        return []
    objects: list[tuple[str | None, str | None, int | None]] = [*own_changes.objects_in(said.result.output)]
    known = said.call.object
    if known is not None and known not in {(kind, object_id) for kind, object_id, _ in objects}:
        objects.append((*known, None))
    is_message = said.call.changes == "message"
    return [StepEffects(held.run.position, objects, is_message, _since(held.run), datetime.fromtimestamp(now, UTC))]


def _since(run: WorkflowRun) -> datetime:
    return datetime.fromtimestamp(run.steps[run.position].started_at, UTC)
