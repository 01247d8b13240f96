"""A crew reads parts side by side, and hands over first what gives its threads more to do."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from intercom_api.errors import TransientError
from models.rule.observations import Observation, Report
from tests.waiting import wait_until
from workers.sync import page_readers
from workers.sync.page_readers import PageReaders, PartFailure
from workers.sync.parts import LISTS, NewPart, PageResult, Part, RunContext, SyncRun, first_parts

# Seconds, of which the threads need a thousandth.
PATIENCE = 10.0


def a_run(kind: str, *, full: bool) -> SyncRun:
    return SyncRun(1, "w", kind, datetime(2026, 1, 1, tzinfo=UTC), "lease", 0, {"full": full})


def test_new_parts_are_handed_over_before_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan overtakes the pages of others, which stay in their order."""
    pages_wait, plan_waits = threading.Event(), threading.Event()
    page = Report("w", "backfill", (Observation("contact", "c"),))

    def walk(_context: RunContext, part: Part) -> Iterator[PageResult]:
        if part.name == "plan":
            pages_wait.wait(PATIENCE)
            yield PageResult("plan", [], done=True, new_parts=(NewPart("contacts/1..2", LISTS),))
            plan_waits.set()
        else:
            yield PageResult("contacts/3..4", [page], seen=1)
            yield PageResult("contacts/3..4", [page], seen=2)
            pages_wait.set()

    monkeypatch.setattr(page_readers, "read_part", walk)
    context: Any = None
    made = PageReaders(context, threads=4)
    for name in ("contacts/3..4", "plan"):
        made.add(Part(name, LISTS, None, 0))
    assert plan_waits.wait(PATIENCE)
    taken = made.take_results(PATIENCE)
    made.close()
    assert [(step.part, step.seen) for step in taken] == [("plan", 0), ("contacts/3..4", 1), ("contacts/3..4", 2)]


def test_companies_wait_for_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of their pages can only be asked for after the one before; contacts wait once the queue is full."""
    read, company = threading.Event(), Report("w", "backfill", (Observation("company", "f"),))

    def walk(_context: RunContext, part: Part) -> Iterator[PageResult]:
        for number in range(10):
            yield PageResult(part.name, [company], seen=number)
        read.set()

    monkeypatch.setattr(page_readers, "read_part", walk)
    context: Any = None
    made = PageReaders(context, threads=1)
    made.add(Part("companies", LISTS, None, 0))
    assert read.wait(PATIENCE)
    assert [step.seen for step in made.take_results(PATIENCE)] == [0, 1, 2, 3]
    made.close()


def test_the_pages_of_a_part_go_to_one_writer_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """What comes later would move its cursor past what is not yet written; its failure comes last of all."""
    one_waits = threading.Event()
    page = Report("w", "backfill", (Observation("contact", "c"),))

    def walk(_context: RunContext, part: Part) -> Iterator[PageResult]:
        yield PageResult(part.name, [page], cursor=1)
        if part.name == "contacts/1..2":
            one_waits.wait(PATIENCE)
            yield PageResult(part.name, [page], cursor=2)
            raise TransientError("Intercom rests.", 1.0)

    monkeypatch.setattr(page_readers, "read_part", walk)
    context: Any = None
    made = PageReaders(context, threads=1)
    made.add(Part("contacts/1..2", LISTS, None, 0))
    [first] = made.take_results(PATIENCE)
    one_waits.set()
    assert made.take_results(0.1) == []
    assert made.take_failures() == []
    made.mark_written([first])
    [second] = made.take_results(PATIENCE)
    assert (first.cursor, second.cursor) == (1, 2)
    assert made.parts_changed.wait(PATIENCE)
    assert made.take_failures() == []
    made.mark_written([second])
    failures: list[PartFailure] = []

    def broke_off() -> bool:
        failures.extend(made.take_failures())
        return bool(failures)

    wait_until(broke_off)
    assert [each.part.name for each in failures] == ["contacts/1..2"]
    made.close()


@pytest.mark.parametrize(
    ("kind", "full", "confirms"), [("backfill", True, False), ("reconcile", True, True), ("reconcile", False, False)]
)
def test_only_a_complete_reconcile_asks_for_what_no_list_shows(kind: str, *, full: bool, confirms: bool) -> None:
    """The others need not note what lists show."""
    run = a_run(kind, full=full)
    assert run.confirms_missing == confirms
    assert any(part.name.startswith("confirm/") for part in first_parts(run)) == confirms
