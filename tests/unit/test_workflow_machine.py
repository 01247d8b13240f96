"""The state machine of a run: crashed anywhere, in any world, it does each thing once or says that it cannot know."""

from collections import Counter

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.workflows.engine import state_machine
from workers.workflows.engine.state_machine import MAX_ATTEMPTS, Begin, Close, Sleep, StepResult, WorkflowRun
from workers.workflows.format.workflow import StepKind, Trigger, Workflow, WorkflowStep

# What the world makes of a step, try after try; it ends well at last.
VERDICTS = st.sampled_from(["done", "again", "failed", "unknown", "stop", "skipped", "wait"])
KINDS: list[StepKind] = ["action", "request", "http"]


def step(number: int, kind: StepKind = "request", *, repeatable: bool = False) -> WorkflowStep:
    return WorkflowStep(f"s{number}", kind, {}, repeatable=repeatable)


def workflow(*steps: WorkflowStep) -> Workflow:
    return Workflow("w", Trigger("contact.created"), steps)


class CrashError(Exception):
    """The process is gone."""


class World:
    """Keeps what is durable, does what is said, and lets the process die where it is told to."""

    def __init__(self, followed: Workflow, verdicts: dict[int, list[str]], crashes: set[int]) -> None:
        self.followed = followed
        self.run = WorkflowRun("queued")
        self.said: Counter[int] = Counter()
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

    def say(self, position: int) -> StepResult:
        self.moment()
        self.said[position] += 1
        self.moment()
        left = self._verdicts.get(position, [])
        verdict = left.pop(0) if left else "done"
        return StepResult(verdict, error="It did not work.", due_at=self.now + 60, output={"n": position})  # type: ignore[arg-type]

    def live(self) -> None:
        """Work until the run ends, or this process does."""
        run = self.run
        while run.is_open:
            move = state_machine.next_step(run, self.followed, self.now)
            if isinstance(move, Sleep):
                self.now = move.until
            elif isinstance(move, Close):
                run = state_machine.after(run, self.followed, move.result, self.now)
                self.commit(run)
            else:
                run = state_machine.begun(run, move, self.now)
                self.commit(run)
                run = state_machine.after(run, self.followed, self.say(move.position), self.now)
                self.commit(run)


def lived(world: World) -> World:
    for _ in range(50):
        try:
            world.live()
        except CrashError:
            continue
        return world
    raise AssertionError("it never ended")


STEPS = st.lists(st.tuples(st.sampled_from(KINDS), st.booleans()), min_size=1, max_size=4)


@given(
    STEPS, st.dictionaries(st.integers(0, 3), st.lists(VERDICTS, max_size=4)), st.sets(st.integers(1, 40), max_size=6)
)
def test_wherever_it_crashes_nothing_is_said_twice_blindly(
    kinds: list[tuple[StepKind, bool]], verdicts: dict[int, list[str]], crashes: set[int]
) -> None:
    """A step that must not be repeated is said again only after the world said that nothing was done."""
    steps = [step(number, kind, repeatable=flag) for number, (kind, flag) in enumerate(kinds)]
    again = {number: each.count("again") + each.count("wait") for number, each in verdicts.items()}
    world = lived(World(workflow(*steps), {number: list(each) for number, each in verdicts.items()}, crashes))
    for number, each in enumerate(steps):
        if not state_machine.may_repeat(each):
            assert world.said[number] <= 1 + again.get(number, 0)
    assert world.run.state in ("done", "stopped", "failed", "unknown")
    assert world.run.position == max((number for number in world.run.steps), default=0) or world.run.state == "done"


@given(STEPS, st.sets(st.integers(1, 40), max_size=8))
def test_a_finished_step_is_never_touched_again(kinds: list[tuple[StepKind, bool]], crashes: set[int]) -> None:
    """What was committed as done stays as it was, and is not said again."""
    steps = [step(number, kind, repeatable=flag) for number, (kind, flag) in enumerate(kinds)]
    world = lived(World(workflow(*steps), {}, crashes))
    for before, then in zip(world.states, world.states[1:], strict=False):
        for position, record in before.steps.items():
            if record.state == "done":
                assert then.steps[position] == record
        assert then.position >= before.position


@given(st.sets(st.integers(1, 40), max_size=10))
def test_steps_that_may_be_repeated_always_arrive(crashes: set[int]) -> None:
    """A run of such steps ends well through any crashes, each step at least once and in order."""
    world = lived(World(workflow(step(0, "action"), step(1, "action"), step(2, repeatable=True)), {}, crashes))
    assert world.run.state == "done"
    assert all(world.said[number] >= 1 for number in range(3))


def test_a_step_that_may_have_happened_is_left_to_a_person() -> None:
    """Nobody is at work on it, and nobody knows."""
    followed = workflow(step(0), step(1))
    run = state_machine.begun(WorkflowRun("queued"), Begin(0, 1), 5.0)
    move = state_machine.next_step(run, followed, 6.0)
    assert isinstance(move, Close)
    ended = state_machine.after(run, followed, move.result, 6.0)
    assert ended.state == "unknown"
    assert "replay" in str(ended.error)
    anew = state_machine.replayed(ended)
    assert state_machine.next_step(anew, followed, 7.0) == Begin(0, 1)


def test_waiting_heals_up_to_a_point() -> None:
    """The pauses grow to half an hour; after thirty tries, most of a day, it is given up."""
    followed, run, now = workflow(step(0)), WorkflowRun("queued"), 0.0
    pauses = []
    while run.is_open:
        move = state_machine.next_step(run, followed, now)
        if isinstance(move, Sleep):
            pauses.append(move.until - now)
            now = move.until
        else:
            assert isinstance(move, Begin)
            run = state_machine.after(
                state_machine.begun(run, move, now), followed, StepResult("again", error="No answer."), now
            )
    assert run.state == "failed"
    assert run.steps[0].attempts == MAX_ATTEMPTS
    assert pauses[:4] == [5.0, 10.0, 20.0, 40.0]
    assert max(pauses) == 1800.0
    assert 8 * 3600 < now < 24 * 3600


def test_an_answer_may_ask_for_more_patience() -> None:
    """Intercom's own time counts if it is longer."""
    assert state_machine.pause(1, 60.0) == 60.0
    assert state_machine.pause(20, 60.0) == 1800.0


@pytest.mark.parametrize("verdict", ["wait", "again"])
def test_a_rest_survives_a_crash(verdict: str) -> None:
    """Its end is written down, so that no death prolongs it."""
    followed = workflow(step(0, "wait"), step(1))
    run = state_machine.begun(WorkflowRun("queued"), Begin(0, 1), 100.0)
    run = state_machine.after(run, followed, StepResult(verdict, due_at=160.0, pause=60.0), 100.0)  # type: ignore[arg-type]
    assert msgspec.structs.replace(run).due_at == 160.0
    assert state_machine.next_step(run, followed, 159.0) == Sleep(160.0)
    assert not isinstance(state_machine.next_step(run, followed, 160.0), Sleep)
