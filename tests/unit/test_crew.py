"""A crew reads parts side by side, and hands over first what gives its threads more to do."""

import sys
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from models.observations import Observation, Report
from workers.sync import crew, turn
from workers.sync.crew import SWITCH_SECONDS, Crew
from workers.sync.parts import LISTS, Context, NewPart, Part, Run, Step, first_parts

# Seconds, of which the threads need a thousandth.
PATIENCE = 10.0


def a_run(kind: str, *, full: bool) -> Run:
    return Run(1, "w", kind, datetime(2026, 1, 1, tzinfo=UTC), "lease", 0, {"full": full})


def test_new_parts_are_handed_over_before_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan overtakes the pages of others, which stay in their order."""
    pages_wait, plan_waits = threading.Event(), threading.Event()
    page = Report("w", "backfill", (Observation("contact", "c"),))

    def walk(_context: Context, part: Part) -> Iterator[Step]:
        if part.part == "plan":
            pages_wait.wait(PATIENCE)
            yield Step("plan", [], done=True, more=(NewPart("contacts/1..2", LISTS),))
            plan_waits.set()
        else:
            yield Step("companies", [page], seen=1)
            yield Step("companies", [page], seen=2)
            pages_wait.set()

    monkeypatch.setattr(crew, "walk", walk)
    context: Any = None
    made = Crew(context, threads=4)
    for name in ("companies", "plan"):
        made.give(Part(name, LISTS, None, 0))
    assert plan_waits.wait(PATIENCE)
    taken = [step for step in made.take(PATIENCE) if isinstance(step, Step)]
    made.dismiss()
    assert [(step.part, step.seen) for step in taken] == [("plan", 0), ("companies", 1), ("companies", 2)]


@pytest.mark.parametrize(
    ("kind", "full", "confirms"), [("backfill", True, False), ("reconcile", True, True), ("reconcile", False, False)]
)
def test_only_a_complete_reconcile_asks_for_what_no_list_shows(kind: str, *, full: bool, confirms: bool) -> None:
    """The others need not note what lists show."""
    run = a_run(kind, full=full)
    assert run.confirms == confirms
    assert any(part.part.startswith("confirm/") for part in first_parts(run)) == confirms


def test_a_process_that_fills_switches_threads_sooner(monkeypatch: pytest.MonkeyPatch) -> None:
    """From the moment on at which it has a desk."""
    for name in ("engine", "reader"):
        monkeypatch.setattr(turn, name, lambda: None)
    before = sys.getswitchinterval()
    try:
        turn.desk.__wrapped__()
        assert sys.getswitchinterval() == pytest.approx(SWITCH_SECONDS)
    finally:
        sys.setswitchinterval(before)
