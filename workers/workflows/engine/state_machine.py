"""
What happens next in a run, and what a step's end means for it. Pure: no SQL, no clock, nothing is called.

A step is written down as started before it is begun, and what came of it before the next one starts. So whoever finds a
step started, and nobody at work on it, knows that it may have happened: it is said again only if that is harmless.

    next_step(run, workflow, now) -> Begin | Sleep | Close          what to do
    after(run, workflow, result, now) -> Run                        how the run stands after it
"""

from typing import Any, Literal

import msgspec

from workers.workflows.format.workflow import Workflow, WorkflowStep

RunState = Literal["queued", "done", "stopped", "failed", "unknown"]
StepState = Literal["started", "waiting", "retry", "done", "skipped", "failed", "unknown"]

# Seconds before a step is tried again: doubled each time up to the longest. Thirty tries take some thirteen hours,
# longer than any outage that Intercom told of.
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 1800.0
MAX_ATTEMPTS = 30

NOBODY_KNOWS = (
    "The process ended while this step was under way, so nobody knows whether it happened. Look there, then run "
    "`intercom-mirror workflows replay`, or set `repeatable: true` if saying it twice is harmless."
)


class StepRecord(msgspec.Struct, frozen=True):
    """How one step stands. Moments are unix seconds. `due_at`: when a wait ends, or the next try may begin."""

    state: StepState
    attempts: int = 1
    started_at: float = 0.0
    ended_at: float | None = None
    due_at: float = 0.0
    input: Any = None
    output: Any = None
    error: str | None = None


class WorkflowRun(msgspec.Struct, frozen=True):
    """How a run stands: `position` is the number of the step it is at, `steps` what is recorded by their numbers."""

    state: RunState
    position: int = 0
    steps: dict[int, StepRecord] = {}
    error: str | None = None
    due_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether something is left to be done."""
        return self.state == "queued"


class Begin(msgspec.Struct, frozen=True):
    """Write down that the step at `position` is started for the `attempt`-th time; then begin it."""

    position: int
    attempt: int


class Sleep(msgspec.Struct, frozen=True):
    """Nothing can be done before `until`."""

    until: float


class Close(msgspec.Struct, frozen=True):
    """Write down what is known without beginning anything: `result` of the step at hand, or the run's end if None."""

    result: "StepResult | None"


class StepResult(msgspec.Struct, frozen=True):
    """
    What came of a step.

    `verdict`: done; skipped (`when` is false); stop (a condition is false); wait, until `due_at`; again, as nothing was
    done and waiting may help, after `pause` seconds at least; failed for good; unknown: it may have happened.
    """

    verdict: Literal["done", "skipped", "stop", "wait", "again", "failed", "unknown"]
    output: Any = None
    error: str | None = None
    due_at: float = 0.0
    pause: float = 0.0
    input: Any = None


def next_step(run: WorkflowRun, workflow: Workflow, now: float) -> Begin | Sleep | Close:
    """Decide what to do with an open run that nobody is at work on."""
    if run.position >= len(workflow.steps):
        return Close(None)
    step, record = workflow.steps[run.position], run.steps.get(run.position)
    if record is None:
        return Begin(run.position, 1)
    if record.state in ("retry", "waiting") and record.due_at > now:
        return Sleep(record.due_at)
    if record.state == "waiting":
        return Close(StepResult("done", {"until": int(record.due_at)}))
    if record.state == "started" and not may_repeat(step):
        return Close(StepResult("unknown", error=NOBODY_KNOWS))
    return Begin(run.position, record.attempts + 1)


def may_repeat(step: WorkflowStep) -> bool:
    """Tell whether a step that may have happened may be begun again; actions know by their key what they did."""
    return step.kind in ("action", "condition", "wait") or step.repeatable


def begun(run: WorkflowRun, begin: Begin, now: float) -> WorkflowRun:
    """Return the run with a step started."""
    before = run.steps.get(begin.position)
    record = StepRecord("started", begin.attempt, now if before is None else before.started_at)
    return msgspec.structs.replace(run, steps=run.steps | {begin.position: record})


def after(run: WorkflowRun, workflow: Workflow, result: StepResult | None, now: float) -> WorkflowRun:
    """Return how a run stands after its step ended so; None: there was no step left."""
    if result is None:
        return msgspec.structs.replace(run, state="done")
    before = run.steps.get(run.position) or StepRecord("started", 1, now)
    state, due_at, error = _step_state(result, before.attempts, now)
    record = StepRecord(
        state,
        before.attempts,
        before.started_at,
        None if state in ("retry", "waiting") else now,
        due_at,
        before.input if result.input is None else result.input,
        result.output,
        error,
    )
    stands = msgspec.structs.replace(run, steps=run.steps | {run.position: record}, due_at=due_at)
    if state in ("retry", "waiting"):
        return stands
    if state in ("failed", "unknown"):
        return msgspec.structs.replace(stands, state=state, error=f"{workflow.steps[run.position].id}: {error}")
    if result.verdict == "stop":
        return msgspec.structs.replace(stands, state="stopped")
    over = run.position + 1 >= len(workflow.steps)
    return msgspec.structs.replace(stands, position=run.position + 1, state="done" if over else "queued")


def _step_state(result: StepResult, attempts: int, now: float) -> tuple[StepState, float, str | None]:
    if result.verdict == "again" and attempts >= MAX_ATTEMPTS:
        return "failed", 0.0, f"{result.error} It was tried {attempts} times."
    if result.verdict == "again":
        return "retry", now + pause(attempts, result.pause), result.error
    if result.verdict == "wait":
        return "waiting", result.due_at, None
    if result.verdict in ("done", "stop"):
        return "done", 0.0, None
    states: dict[str, StepState] = {"skipped": "skipped", "failed": "failed", "unknown": "unknown"}
    return states[result.verdict], 0.0, result.error


def pause(attempts: int, at_least: float) -> float:
    """Return the seconds before the next try."""
    return max(at_least, min(LONGEST_PAUSE, FIRST_PAUSE * 2.0 ** (attempts - 1)))


def replayed(run: WorkflowRun) -> WorkflowRun:
    """Return a run that ended badly as one that begins its last step anew; what was done stays done."""
    steps = {position: record for position, record in run.steps.items() if position < run.position}
    return msgspec.structs.replace(run, state="queued", steps=steps, error=None, due_at=0.0)


def noted(run: WorkflowRun, filled: Any) -> WorkflowRun:
    """Return the run with the input of its present step."""
    record = msgspec.structs.replace(run.steps[run.position], input=filled)
    return msgspec.structs.replace(run, steps=run.steps | {run.position: record})
