"""The state machine of a run: wherever the process crashes, each step is executed once or its outcome is unknown."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.workflows.engine import decide_next_step
from workers.workflows.engine.decide_next_step import (
    MAX_ATTEMPTS,
    ApplyResult,
    StartStep,
    StepResult,
    WaitUntil,
    WorkflowRun,
)
from workers.workflows.format.workflow import StepKind, Trigger, Workflow, WorkflowStep

# Results of a step, attempt after attempt; after these it is done.
VERDICTS = st.sampled_from(["done", "again", "failed", "unknown", "stop", "skipped", "wait"])
KINDS: list[StepKind] = ["action", "request", "http"]


def step(number: int, kind: StepKind = "request", *, repeatable: bool = False) -> WorkflowStep:
    return WorkflowStep(f"s{number}", kind, {}, repeatable=repeatable)


def replayed(run: WorkflowRun) -> WorkflowRun:
    """Return the run as a replay leaves it in SQL; see `workers.workflows.engine.manage_runs.replay`."""
    steps = {position: record for position, record in run.steps.items() if position < run.position}
    return msgspec.structs.replace(run, state="queued", steps=steps, error=None, due_at=0.0)


def workflow(*steps: WorkflowStep) -> Workflow:
    return Workflow("w", Trigger("contact.created"), steps)


class CrashError(Exception):
    """The process has crashed."""


class CrashingProcess:
    """Executes a run: keeps the committed state, counts the executions of steps, and crashes at given moments."""

    def __init__(self, followed: Workflow, verdicts: dict[int, list[str]], crashes: set[int]) -> None:
        self.workflow = followed
        self.run = WorkflowRun("queued")
        self.executions: Counter[int] = Counter()
        self.states: list[WorkflowRun] = []
        self._verdicts, self._crashes, self._moments, self.now = verdicts, crashes, 0, 1_000.0

    def moment(self) -> None:
        self._moments += 1
        if self._moments in self._crashes:
            raise CrashError

    def commit(self, run: WorkflowRun) -> None:
        self.moment()
        self.run = run
        self.states.append(run)
        self.moment()

    def execute(self, position: int) -> StepResult:
        self.moment()
        self.executions[position] += 1
        self.moment()
        left = self._verdicts.get(position, [])
        verdict = left.pop(0) if left else "done"
        return StepResult(verdict, error="It failed.", due_at=self.now + 60, output={"n": position})  # type: ignore[arg-type]

    def execute_run(self) -> None:
        """Execute the run until it ends or the process crashes."""
        run = self.run
        while run.is_open:
            move = decide_next_step.next_step(run, self.workflow, self.now)
            if isinstance(move, WaitUntil):
                self.now = move.until
            elif isinstance(move, ApplyResult):
                run = decide_next_step.apply_result(run, self.workflow, move.result, self.now)
                self.commit(run)
            else:
                run = decide_next_step.start_step(run, move, self.now)
                self.commit(run)
                run = decide_next_step.apply_result(run, self.workflow, self.execute(move.position), self.now)
                self.commit(run)


def survive(process: CrashingProcess) -> CrashingProcess:
    for _ in range(50):
        try:
            process.execute_run()
        except CrashError:
            continue
        return process
    raise AssertionError("the run never ended")


STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.booleans()), min_size=1, max_size=4)


@given(
    STEPS, st.dictionaries(st.integers(0, 3), st.lists(VERDICTS, max_size=4)), st.sets(st.integers(1, 40), max_size=6)
)
def test_no_crash_repeats_a_step_that_must_not_be_repeated(
    kinds: list[tuple[StepKind, bool]], verdicts: dict[int, list[str]], crashes: set[int]
) -> None:
    """Such a step is executed again only after a result that nothing was done."""
    steps = [step(number, kind, repeatable=flag) for number, (kind, flag) in enumerate(kinds)]
    again = {number: each.count("again") + each.count("wait") for number, each in verdicts.items()}
    process = survive(
        CrashingProcess(workflow(*steps), {number: list(each) for number, each in verdicts.items()}, crashes)
    )
    for number, each in enumerate(steps):
        if not decide_next_step.may_repeat(each):
            assert process.executions[number] <= 1 + again.get(number, 0)
    assert process.run.state in ("done", "stopped", "failed", "unknown")
    assert (
        process.run.position == max((number for number in process.run.steps), default=0) or process.run.state == "done"
    )


@given(STEPS, st.sets(st.integers(1, 40), max_size=8))
def test_a_finished_step_never_changes(kinds: list[tuple[StepKind, bool]], crashes: set[int]) -> None:
    """A step that was committed as done keeps its record, and the run never goes back."""
    steps = [step(number, kind, repeatable=flag) for number, (kind, flag) in enumerate(kinds)]
    process = survive(CrashingProcess(workflow(*steps), {}, crashes))
    for before, then in zip(process.states, process.states[1:], strict=False):
        for position, record in before.steps.items():
            if record.state == "done":
                assert then.steps[position] == record
        assert then.position >= before.position


@given(st.sets(st.integers(1, 40), max_size=10))
def test_a_run_of_repeatable_steps_always_ends_well(crashes: set[int]) -> None:
    """In spite of any crashes, each step is executed at least once."""
    process = survive(
        CrashingProcess(workflow(step(0, "action"), step(1, "action"), step(2, repeatable=True)), {}, crashes)
    )
    assert process.run.state == "done"
    assert all(process.executions[number] >= 1 for number in range(3))


def test_a_step_interrupted_by_a_crash_is_left_to_the_user() -> None:
    """It may have been performed, so it is not repeated; a replay starts it again."""
    followed = workflow(step(0), step(1))
    run = decide_next_step.start_step(WorkflowRun("queued"), StartStep(0, 1), 5.0)
    move = decide_next_step.next_step(run, followed, 6.0)
    assert isinstance(move, ApplyResult)
    ended = decide_next_step.apply_result(run, followed, move.result, 6.0)
    assert ended.state == "unknown"
    assert "replay" in str(ended.error)
    assert decide_next_step.next_step(replayed(ended), followed, 7.0) == StartStep(0, 1)


def test_retries_end_after_thirty_attempts() -> None:
    """The delays grow to half an hour; after thirty attempts, most of a day, the step fails."""
    followed, run, now = workflow(step(0)), WorkflowRun("queued"), 0.0
    pauses = []
    while run.is_open:
        move = decide_next_step.next_step(run, followed, now)
        if isinstance(move, WaitUntil):
            pauses.append(move.until - now)
            now = move.until
        else:
            assert isinstance(move, StartStep)
            run = decide_next_step.apply_result(
                decide_next_step.start_step(run, move, now), followed, StepResult("again", error="No response."), now
            )
    assert run.state == "failed"
    assert run.steps[0].attempts == MAX_ATTEMPTS
    assert pauses[:4] == [5.0, 10.0, 20.0, 40.0]
    assert max(pauses) == 1800.0
    assert 8 * 3600 < now < 24 * 3600


def test_a_response_may_ask_for_a_longer_delay() -> None:
    """Its delay is used if it is longer than ours."""
    assert decide_next_step.retry_delay(1, 60.0) == 60.0
    assert decide_next_step.retry_delay(20, 60.0) == 1800.0


@pytest.mark.parametrize("verdict", ["wait", "again"])
def test_a_delay_survives_a_crash(verdict: str) -> None:
    """Its end is stored, so that a crash does not prolong it."""
    followed = workflow(step(0, "wait"), step(1))
    run = decide_next_step.start_step(WorkflowRun("queued"), StartStep(0, 1), 100.0)
    run = decide_next_step.apply_result(run, followed, StepResult(verdict, due_at=160.0, retry_after=60.0), 100.0)  # type: ignore[arg-type]
    assert msgspec.structs.replace(run).due_at == 160.0
    assert decide_next_step.next_step(run, followed, 159.0) == WaitUntil(160.0)
    assert not isinstance(decide_next_step.next_step(run, followed, 160.0), WaitUntil)
