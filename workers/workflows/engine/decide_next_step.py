"""
The state machine of a workflow run and of its steps: what happens next, also after a crash. Pure: no I/O, no clock.

A step is stored as started before it begins, and its result before the next step starts. So a step that is stored as
started, while no process works on it, may have been performed: it is executed again only if that is harmless.

States of a run (`workflow_runs.state`):

    (change) ---a---> queued ---+---d---> done
        |              ^  ^     +---e---> stopped
        |              |  +--c--+---f---> failed ---+
        |              h        +---g---> unknown --+---j---> queued
        |              |
        +---b---> held-+
                   |
                   +------i---> ignored

    a  A change starts a run (`triggers.starter.start_runs`).
    b  The same, while a step in progress may have made the change itself (`triggers.starter.start_runs`).
    c  A step ended well and another one follows, or a step waits or is retried later (`apply_result`).
    d  The last step ended well (`apply_result`).
    e  A condition is false (`apply_result`).
    f  A step failed for good (`apply_result`), or the stored file is no longer valid (`run_store.fail_runs`).
    g  It is unknown whether a step was performed (`apply_result`).
    h  The workflow did not make the change (`triggers.starter.release_held_runs`).
    i  The workflow made the change itself (`triggers.starter.release_held_runs`).
    j  A user replays the run: it continues at the step that ended it (`manage_runs.replay`).

    Ended runs older than RETENTION_DAYS are deleted (`manage_runs.delete_ended_runs`).

States of a step (`workflow_steps.state`). A step has no row before it starts; one that needs no request passes through
`started` within one transaction:

    (no row) ---a---> started ---+---c---> done, skipped
        |              ^   ^     +---d---> failed ----+
        |              |   +--f--+---g---> unknown ---+---i---> (no row)
        |              j         |
        |              |         e
        |            retry <-----+
        |
        +---b---> waiting ---h---> done

    a  The step starts (`start_step`).
    b  A wait starts; its end is stored (`apply_result`).
    c  The step was performed, or skipped because `when` is false, or it is a condition (`apply_result`).
    d  The step was refused for good, or MAX_ATTEMPTS are used up (`apply_result`).
    e  Nothing was done, and a later attempt may help (`apply_result`).
    f  The process crashed, and executing the step again is harmless (`next_step`, `start_step`).
    g  The request had no response, or the process crashed, and executing the step again is not harmless (`next_step`,
       `apply_result`).
    h  The time of the wait is over (`next_step`, `apply_result`).
    i  A user replays the run; the row is deleted (`manage_runs.replay`).
    j  The delay is over, and the step starts again (`next_step`, `start_step`).
"""

from typing import Any, Literal

import msgspec

from workers.workflows.format.workflow import Workflow, WorkflowStep

RunState = Literal["queued", "done", "stopped", "failed", "unknown"]
StepState = Literal["started", "waiting", "retry", "done", "skipped", "failed", "unknown"]

# Seconds before a step is retried, doubled for each further attempt up to the longest. Thirty attempts take some
# thirteen hours, longer than any outage that Intercom has reported.
FIRST_RETRY_SECONDS = 5.0
LONGEST_RETRY_SECONDS = 1800.0
MAX_ATTEMPTS = 30

_INTERRUPTED = (
    "The process stopped while this step was in progress, so it is unknown whether the step was performed. Check, then "
    "run `intercom-mirror workflows replay`; or set `repeatable: true` if performing the step twice is harmless."
)


class StepRecord(msgspec.Struct, frozen=True):
    """
    The stored state of a step.

    Times are unix seconds. `due_at`: when a wait ends, or when the next attempt may start.
    """

    state: StepState
    attempts: int = 1
    started_at: float = 0.0
    ended_at: float | None = None
    due_at: float = 0.0
    input: Any = None
    output: Any = None
    error: str | None = None


class WorkflowRun(msgspec.Struct, frozen=True):
    """
    The stored state of a run.

    `position`: the number of its present step. `steps`: the records of steps by their numbers. `due_at`: nothing can be
    done before, unix seconds.
    """

    state: RunState
    position: int = 0
    steps: dict[int, StepRecord] = {}
    error: str | None = None
    due_at: float = 0.0

    @property
    def is_open(self) -> bool:
        """Whether something is left to do."""
        return self.state == "queued"


class StartStep(msgspec.Struct, frozen=True):
    """Store that the step at `position` starts for the `attempt`-th time, then execute it."""

    position: int
    attempt: int


class WaitUntil(msgspec.Struct, frozen=True):
    """Nothing can be done before `until`, unix seconds."""

    until: float


class ApplyResult(msgspec.Struct, frozen=True):
    """Apply `result` to the present step without executing anything; None: no step is left, and the run ends."""

    result: "StepResult | None"


class StepResult(msgspec.Struct, frozen=True):
    """
    The result of executing a step.

    `verdict`: done; skipped: `when` is false; stop: a condition is false; wait: until `due_at`; again: nothing was
    done, and an attempt after at least `retry_after` seconds may help; failed: for good; unknown: the step may have
    been performed.
    """

    verdict: Literal["done", "skipped", "stop", "wait", "again", "failed", "unknown"]
    output: Any = None
    error: str | None = None
    due_at: float = 0.0
    retry_after: float = 0.0
    input: Any = None


def next_step(run: WorkflowRun, workflow: Workflow, now: float) -> StartStep | WaitUntil | ApplyResult:
    """Return what to do next with an open run that no process works on."""
    if run.position >= len(workflow.steps):
        return ApplyResult(None)
    step, record = workflow.steps[run.position], run.steps.get(run.position)
    if record is None:
        return StartStep(run.position, 1)
    if record.state in ("retry", "waiting") and record.due_at > now:
        return WaitUntil(record.due_at)
    if record.state == "waiting":
        return ApplyResult(StepResult("done", {"until": int(record.due_at)}))
    if record.state == "started" and not may_repeat(step):
        return ApplyResult(StepResult("unknown", error=_INTERRUPTED))
    return StartStep(run.position, record.attempts + 1)


def may_repeat(step: WorkflowStep) -> bool:
    """Return whether a step that may have been performed may start again; actions have an idempotency key."""
    return step.kind in ("action", "condition", "wait") or step.repeatable


def start_step(run: WorkflowRun, move: StartStep, now: float) -> WorkflowRun:
    """Return the run after a step has started."""
    before = run.steps.get(move.position)
    record = StepRecord("started", move.attempt, now if before is None else before.started_at)
    return msgspec.structs.replace(run, steps=run.steps | {move.position: record})


def with_input(run: WorkflowRun, step_input: Any) -> WorkflowRun:
    """Return the run with the rendered input of its present step."""
    record = msgspec.structs.replace(run.steps[run.position], input=step_input)
    return msgspec.structs.replace(run, steps=run.steps | {run.position: record})


def apply_result(run: WorkflowRun, workflow: Workflow, result: StepResult | None, now: float) -> WorkflowRun:
    """Return the run after its present step had this result; None: no step was left."""
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
    after = msgspec.structs.replace(run, steps=run.steps | {run.position: record}, due_at=due_at)
    if state in ("retry", "waiting"):
        return after
    if state in ("failed", "unknown"):
        return msgspec.structs.replace(after, state=state, error=f"{workflow.steps[run.position].id}: {error}")
    if result.verdict == "stop":
        return msgspec.structs.replace(after, state="stopped")
    was_last = run.position + 1 >= len(workflow.steps)
    return msgspec.structs.replace(after, position=run.position + 1, state="done" if was_last else "queued")


def _step_state(result: StepResult, attempts: int, now: float) -> tuple[StepState, float, str | None]:
    """Return the state, the due time and the error of a step after this result."""
    if result.verdict == "again" and attempts >= MAX_ATTEMPTS:
        return "failed", 0.0, f"{result.error} It was attempted {attempts} times."
    if result.verdict == "again":
        return "retry", now + retry_delay(attempts, result.retry_after), result.error
    if result.verdict == "wait":
        return "waiting", result.due_at, None
    if result.verdict in ("done", "stop"):
        return "done", 0.0, None
    states: dict[str, StepState] = {"skipped": "skipped", "failed": "failed", "unknown": "unknown"}
    return states[result.verdict], 0.0, result.error


def retry_delay(attempts: int, at_least: float) -> float:
    """Return the seconds before the next attempt."""
    return max(at_least, min(LONGEST_RETRY_SECONDS, FIRST_RETRY_SECONDS * 2.0 ** (attempts - 1)))
