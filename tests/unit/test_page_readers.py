"""Page readers read parts in parallel, and hand over first what adds new parts."""

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
from workers.sync.run_parts import LISTS, NewPart, PageResult, Part, RunContext, SyncRun, first_parts

# Seconds; the threads need a thousandth of them.
PATIENCE = 10.0


def a_run(kind: str, *, full: bool) -> SyncRun:
    return SyncRun(1, "w", kind, datetime(2026, 1, 1, tzinfo=UTC), "lease", 0, {"full": full})


def test_results_with_new_parts_go_before_pages(monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan overtakes the pages of other parts, which stay in their order."""
    pages_wait, plan_waits = threading.Event(), threading.Event()
    page = Report("w", "backfill", (Observation("contact", "c"),))

    def read_pages(_context: RunContext, part: Part) -> Iterator[PageResult]:
        if part.name == "plan":
            pages_wait.wait(PATIENCE)
            yield PageResult("plan", [], done=True, new_parts=(NewPart("contacts/1..2", LISTS),))
            plan_waits.set()
        else:
            yield PageResult("contacts/3..4", [page], seen=1)
            yield PageResult("contacts/3..4", [page], seen=2)
            pages_wait.set()

    monkeypatch.setattr(page_readers, "read_part", read_pages)
    context: Any = None
    readers = PageReaders(context, threads=4)
    for name in ("contacts/3..4", "plan"):
        readers.add(Part(name, LISTS, None, 0))
    assert plan_waits.wait(PATIENCE)
    taken = readers.take_results(PATIENCE)
    readers.close()
    assert [(step.part, step.seen) for step in taken] == [("plan", 0), ("contacts/3..4", 1), ("contacts/3..4", 2)]


def test_companies_do_not_wait_for_space_in_the_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of their pages can only be read after the previous one; contacts wait while the queue is full."""
    read, company = threading.Event(), Report("w", "backfill", (Observation("company", "f"),))

    def read_pages(_context: RunContext, part: Part) -> Iterator[PageResult]:
        for number in range(10):
            yield PageResult(part.name, [company], seen=number)
        read.set()

    monkeypatch.setattr(page_readers, "read_part", read_pages)
    context: Any = None
    readers = PageReaders(context, threads=1)
    readers.add(Part("companies", LISTS, None, 0))
    assert read.wait(PATIENCE)
    assert [step.seen for step in readers.take_results(PATIENCE)] == [0, 1, 2, 3]
    readers.close()


def test_the_pages_of_a_part_go_to_one_writer_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """A later page would move the cursor past one that is not written; the failure of a part comes last."""
    one_waits = threading.Event()
    page = Report("w", "backfill", (Observation("contact", "c"),))

    def read_pages(_context: RunContext, part: Part) -> Iterator[PageResult]:
        yield PageResult(part.name, [page], cursor=1)
        if part.name == "contacts/1..2":
            one_waits.wait(PATIENCE)
            yield PageResult(part.name, [page], cursor=2)
            raise TransientError("Intercom is unavailable.", 1.0)

    monkeypatch.setattr(page_readers, "read_part", read_pages)
    context: Any = None
    readers = PageReaders(context, threads=1)
    readers.add(Part("contacts/1..2", LISTS, None, 0))
    [first] = readers.take_results(PATIENCE)
    one_waits.set()
    assert readers.take_results(0.1) == []
    assert readers.take_failures() == []
    readers.mark_written([first])
    [second] = readers.take_results(PATIENCE)
    assert (first.cursor, second.cursor) == (1, 2)
    assert readers.parts_changed.wait(PATIENCE)
    assert readers.take_failures() == []
    readers.mark_written([second])
    failures: list[PartFailure] = []

    def has_failed() -> bool:
        failures.extend(readers.take_failures())
        return bool(failures)

    wait_until(has_failed)
    assert [each.part.name for each in failures] == ["contacts/1..2"]
    readers.close()


@pytest.mark.parametrize(
    ("kind", "full", "confirms"), [("backfill", True, False), ("reconcile", True, True), ("reconcile", False, False)]
)
def test_only_a_complete_reconcile_looks_up_missing_objects(kind: str, *, full: bool, confirms: bool) -> None:
    """Other runs need not record the listed ids."""
    run = a_run(kind, full=full)
    assert run.confirms_missing == confirms
    assert any(part.name.startswith("confirm/") for part in first_parts(run)) == confirms
