"""A backfill reads a whole workspace, whatever happens meanwhile."""

import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text, update
from sqlalchemy.exc import OperationalError

from emulator.api.api_request import ApiRequest, ApiResponse
from emulator.random_activity import populate
from emulator.workspace import EmulatedWorkspace
from intercom_api.http import company_scroll
from models.db.engine import transaction
from models.tables.sync_tables import sync_runs
from tests.laws.test_concurrency import wait_for_a_lock
from tests.stories.mirror_harness import WORKSPACE, MirrorHarness, count, open_mirror
from tests.waiting import wait_until
from workers.sync import page_writer, runs
from workers.sync.run_parts import Part, SyncRun


@pytest.fixture
def mirror(redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MirrorHarness]:
    """A workspace of some hundred objects and an empty mirror, on either database."""
    # A scroll that broke off stays in use for a minute; these tests do not wait for that.
    monkeypatch.setattr(company_scroll, "BUSY_TIMEOUT_SECONDS", 0.0)
    with open_mirror(redis_url, database_url) as opened:
        populate(opened.workspace, 200, 40, seed=3, links=4)
        yield opened


def test_a_backfill_reads_everything_in_a_workspace(mirror: MirrorHarness) -> None:
    """Contacts, companies, tags, segments, attributes and all their links, long lists too."""
    row = mirror.run("backfill")
    assert row["state"] == "done", row
    assert mirror.differences() == []
    assert count(mirror.harness, "tags") == len(mirror.workspace.tags)
    assert count(mirror.harness, "data_attributes") > 0
    assert row["seen"] == row["expected"]


def test_a_backfill_does_not_overwrite_newer_notifications(mirror: MirrorHarness) -> None:
    """A lagging index shows old names and deleted contacts; the tables keep the newer state."""
    mirror.pass_time(120)
    mirror.intercom.change({"index_lag_seconds": 60})
    contacts = list(mirror.workspace.contacts.values())
    mirror.deliver(mirror.workspace.update_contact(contacts[0].id, {"name": "Newest"}))
    mirror.deliver(mirror.workspace.delete_contact(contacts[1].id))
    mirror.run("backfill")
    assert mirror.harness.one(f"SELECT name FROM contacts WHERE id = '{contacts[0].id}'") == "Newest"  # noqa: S608
    assert count(mirror.harness, "contacts") == len(mirror.workspace.contacts)
    assert mirror.differences() == []


def test_another_process_continues_the_run_of_a_killed_one(mirror: MirrorHarness) -> None:
    """Nothing is lost, and what was written is not read again."""
    run_id = mirror.enqueue("backfill")
    mirror.sync.work(time.monotonic() + 0.2)
    before = runs.read_run(mirror.harness.engine, run_id)
    # As after kill -9: the threads have ended, the lease is still valid.
    mirror.sync.close()
    successor = mirror.new_sync()
    successor.work(time.monotonic() + 0.2)
    assert runs.read_run(mirror.harness.engine, run_id)["lease_by"] == before["lease_by"]
    _expire_leases(mirror)
    row = mirror.work(run_id, successor)
    mirror.refetch_all()
    successor.close()
    assert (row["state"], mirror.differences()) == ("done", [])


def test_two_processes_never_write_the_same_run(mirror: MirrorHarness) -> None:
    """A process that lost its lease writes nothing more."""
    run_id = mirror.enqueue("backfill")
    mirror.sync.work(time.monotonic() + 0.2)
    _expire_leases(mirror)
    successor = mirror.new_sync()
    mirror.work(run_id, successor)
    successor.close()
    mirror.sync.work(time.monotonic() + 0.5)
    mirror.refetch_all()
    assert runs.read_run(mirror.harness.engine, run_id)["state"] == "done"
    assert mirror.differences() == []


def test_a_lease_is_taken_over_after_the_page_being_written(redis_url: str, postgres_url: str) -> None:
    """The lease may expire during a write; no process leases the run until that is committed."""
    with open_mirror(redis_url, postgres_url) as opened:
        opened.enqueue("backfill")
        engine, now = opened.harness.engine, datetime.now(UTC)
        taken = runs.lease_run(engine, "writer", now)
        assert taken is not None
        taken_over: list[SyncRun | None] = []
        successor = threading.Thread(
            target=lambda: taken_over.append(runs.lease_run(engine, "successor", datetime.now(UTC)))
        )
        with transaction(engine) as connection:
            runs.lock_run(connection, taken)
            # `renew_lease` is not blocked by the lock.
            runs.renew_lease(engine, taken, now - timedelta(minutes=1))
            successor.start()
            wait_for_a_lock(postgres_url)
            assert taken_over == []
        successor.join()
        assert [run.lease for run in taken_over if run] == ["successor"]
        with pytest.raises(runs.LeaseLostError), transaction(engine) as connection:
            runs.lock_run(connection, taken)


def test_pages_that_could_not_be_written_are_read_again(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is unavailable for a moment: pages that were being written are not lost."""
    written = page_writer.write_results
    failures = iter([True, False, True, False, False, True])

    def failing_write(*arguments: Any) -> None:
        if next(failures, False):
            raise OperationalError("gone", None, Exception("gone"))
        written(*arguments)

    monkeypatch.setattr(page_writer, "write_results", failing_write)
    run_id = mirror.enqueue("backfill")
    failed = 0
    while (row := runs.read_run(mirror.harness.engine, run_id))["state"] in ("queued", "running"):
        try:
            mirror.work(run_id)
        except OperationalError:
            failed += 1
    # Two threads may write at a time, and fail together.
    assert (row["state"], failed in (2, 3)) == ("done", True)
    mirror.refetch_all()
    assert mirror.differences() == []


def test_a_part_that_finishes_during_the_query_for_open_parts_is_not_read_again(
    mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The query may return a state of it that is out of date."""
    query = page_writer.readable_parts
    answer, calls = mirror.intercom.respond, list[str]()

    def slow_query(reader: Engine, run: SyncRun) -> list[Part]:
        found = query(reader, run)
        [readers] = mirror.sync._readers.values()
        wait_until(lambda: "tags" not in readers.active_parts)
        return found

    def counting_answer(request: ApiRequest) -> ApiResponse:
        calls.append(request.path)
        return answer(request)

    monkeypatch.setattr(page_writer, "readable_parts", slow_query)
    monkeypatch.setattr(mirror.intercom, "respond", counting_answer)
    assert mirror.run("backfill")["state"] == "done"
    assert calls.count("/tags") == 1


def test_random_failures_of_intercom_only_delay_a_run(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls that end in errors, empty responses or broken JSON are repeated."""
    monkeypatch.setattr(page_writer, "FIRST_RETRY_SECONDS", 0.01)
    mirror.intercom.change({"error_rate": 0.05, "empty_rate": 0.02, "broken_rate": 0.02, "scroll_error_rate": 0.1})
    row = mirror.run("backfill")
    mirror.intercom.change({"error_rate": 0.0, "empty_rate": 0.0, "broken_rate": 0.0})
    mirror.refetch_all()
    assert (row["state"], mirror.differences()) == ("done", [])


def test_a_rejected_cursor_restarts_its_window(mirror: MirrorHarness) -> None:
    """The window is read from its beginning."""
    run_id = mirror.enqueue("backfill")
    mirror.sync.work(time.monotonic() + 0.2)
    mirror.sync.close()
    stale = json.dumps({"after": "no cursor", "met": 1, "kept": 1, "passes": 1, "total": 200})
    with transaction(mirror.harness.engine) as connection:
        connection.execute(
            text("UPDATE sync_parts SET cursor = :c, state = 'open' WHERE part LIKE 'contacts/%'"), {"c": stale}
        )
    _expire_leases(mirror)
    mirror.sync = mirror.new_sync()
    assert mirror.work(run_id)["state"] == "done"
    mirror.refetch_all()
    assert mirror.differences() == []


def test_companies_are_read_by_page_while_the_scroll_is_in_use(mirror: MirrorHarness) -> None:
    """Both ways reach all companies."""
    mirror.intercom.change({"scroll_lock": True})
    row = mirror.run("backfill")
    assert (row["state"], mirror.differences()) == ("done", [])
    assert not any("scroll" in call for call in mirror.intercom.workspace_apis[WORKSPACE].calls if "GET" not in call)


def test_companies_beyond_the_paged_ones_wait_for_the_scroll(
    mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The part is retried until the other client releases the scroll."""
    monkeypatch.setattr(page_writer, "MAX_RETRY_SECONDS", 0.1)
    mirror.intercom.change({"scroll_lock": True, "list_wall": 60})
    for number in range(60):
        mirror.workspace.create_company({"name": f"Company {number}"})
    active_ids = [record.id for record in mirror.workspace.contacts.values() if not record.archived]
    for contact_id, company_id in zip(active_ids, mirror.workspace.companies, strict=False):
        mirror.workspace.attach(contact_id, company_id)
    run_id = mirror.enqueue("backfill")
    while not runs.read_run(mirror.harness.engine, run_id)["error"]:
        mirror.sync.work(time.monotonic() + 0.3)
    mirror.intercom.change({"scroll_lock": False})
    row = mirror.work(run_id)
    mirror.refetch_all()
    assert (row["state"], mirror.differences()) == ("done", [])


@pytest.mark.parametrize("timezone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York"])
def test_no_time_zone_hides_a_contact(redis_url: str, sqlite_url: str, timezone: str) -> None:
    """Searches compare days of the workspace's own time zone."""
    workspace = EmulatedWorkspace(WORKSPACE, timezone=timezone)
    with open_mirror(redis_url, sqlite_url, workspace) as mirror:
        populate(workspace, 60, 5, seed=4)
        for number, record in enumerate(workspace.contacts.values()):
            # At the boundaries of days, each contact on another day.
            record.values["created_at"] = (1_600_000_000_000 // 86_400_000 + number) * 86_400_000 + (
                number % 3 - 1
            ) * 1000
        mirror.run("backfill")
        assert count(mirror.harness, "contacts") == len(workspace.contacts)


def test_a_refused_token_ends_the_run(mirror: MirrorHarness) -> None:
    """The connection is ended, and the row of the run contains what to do."""
    mirror.token = "revoked"
    row = mirror.run("backfill")
    assert row["state"] == "failed"
    assert "connect" in row["error"]
    assert mirror.refused


def test_sync_marks_contain_when_a_backfill_ended(mirror: MirrorHarness) -> None:
    """Each type of object has a row."""
    mirror.run("backfill")
    marks = mirror.harness.rows("SELECT object_type, last_backfill_at FROM sync_marks")
    assert {mark["object_type"] for mark in marks} == {"contact", "company", "tag", "segment"}
    assert all(mark["last_backfill_at"] for mark in marks)


def test_a_second_request_returns_the_open_run(mirror: MirrorHarness) -> None:
    """At most one run of a kind is open in a workspace."""
    assert mirror.enqueue("backfill") == mirror.enqueue("backfill")


def _expire_leases(mirror: MirrorHarness) -> None:
    with transaction(mirror.harness.engine) as connection:
        connection.execute(update(sync_runs).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))
