"""A connected workspace fills its mirror, whatever happens meanwhile."""

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
from workers.sync.parts import Part, SyncRun


@pytest.fixture
def mirror(redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[MirrorHarness]:
    """A workspace of some hundred objects and an empty mirror, on either database."""
    # A scroll that broke off is taken for a minute; here nobody waits for that.
    monkeypatch.setattr(company_scroll, "BUSY_TIMEOUT_SECONDS", 0.0)
    with open_mirror(redis_url, database_url) as made:
        populate(made.workspace, 200, 40, seed=3, links=4)
        yield made


def test_everything_that_a_workspace_holds_is_in_the_tables(mirror: MirrorHarness) -> None:
    """Contacts, companies, tags, segments, attributes and all their links, the long ones too."""
    row = mirror.run("backfill")
    assert row["state"] == "done", row
    assert mirror.differences() == []
    assert count(mirror.harness, "tags") == len(mirror.workspace.tags)
    assert count(mirror.harness, "data_attributes") > 0
    assert row["seen"] == row["expected"]


def test_what_notifications_tell_meanwhile_is_not_overwritten(mirror: MirrorHarness) -> None:
    """An index that lags shows old names and contacts that are gone; neither comes back."""
    mirror.pass_time(120)
    mirror.intercom.change({"index_lag_seconds": 60})
    contacts = list(mirror.workspace.contacts.values())
    mirror.act(mirror.workspace.update_contact(contacts[0].id, {"name": "Newest"}))
    mirror.act(mirror.workspace.delete_contact(contacts[1].id))
    mirror.run("backfill")
    assert mirror.harness.one(f"SELECT name FROM contacts WHERE id = '{contacts[0].id}'") == "Newest"  # noqa: S608
    assert count(mirror.harness, "contacts") == len(mirror.workspace.contacts)
    assert mirror.differences() == []


def test_another_process_goes_on_where_one_died(mirror: MirrorHarness) -> None:
    """Nothing is lost with it, and what was written is not read again."""
    run_id = mirror.ask("backfill")
    mirror.sync.work(time.monotonic() + 0.2)
    before = runs.read_run(mirror.harness.engine, run_id)
    # As kill -9 leaves it: the threads are gone, the lease runs on.
    mirror.sync.close()
    heir = mirror.new_sync()
    heir.work(time.monotonic() + 0.2)
    assert runs.read_run(mirror.harness.engine, run_id)["lease_by"] == before["lease_by"]
    _expire_leases(mirror)
    row = mirror.work(run_id, heir)
    mirror.follow_up()
    heir.close()
    assert (row["state"], mirror.differences()) == ("done", [])


def test_two_processes_never_write_the_same_run(mirror: MirrorHarness) -> None:
    """Whoever lost its lease writes nothing more."""
    run_id = mirror.ask("backfill")
    mirror.sync.work(time.monotonic() + 0.2)
    _expire_leases(mirror)
    heir = mirror.new_sync()
    mirror.work(run_id, heir)
    heir.close()
    mirror.sync.work(time.monotonic() + 0.5)
    mirror.follow_up()
    assert runs.read_run(mirror.harness.engine, run_id)["state"] == "done"
    assert mirror.differences() == []


def test_an_heir_waits_for_the_page_that_is_being_written(redis_url: str, postgres_url: str) -> None:
    """The lease may end while somebody writes; until that is committed nobody begins where it began."""
    with open_mirror(redis_url, postgres_url) as made:
        made.ask("backfill")
        engine, now = made.harness.engine, datetime.now(UTC)
        taken = runs.lease_run(engine, "writer", now)
        assert taken is not None
        heirs: list[SyncRun | None] = []
        heir = threading.Thread(target=lambda: heirs.append(runs.lease_run(engine, "heir", datetime.now(UTC))))
        with transaction(engine) as connection:
            runs.lock_run(connection, taken)
            # What `renew` does passes beside it.
            runs.renew_lease(engine, taken, now - timedelta(minutes=1))
            heir.start()
            wait_for_a_lock(postgres_url)
            assert heirs == []
        heir.join()
        assert [run.lease for run in heirs if run] == ["heir"]
        with pytest.raises(runs.LeaseLostError), transaction(engine) as connection:
            runs.lock_run(connection, taken)


def test_pages_that_could_not_be_written_are_read_again(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database goes away for a moment: what was in hand then is not lost."""
    written = page_writer.write_results
    failures = iter([True, False, True, False, False, True])

    def fails(*arguments: Any) -> None:
        if next(failures, False):
            raise OperationalError("gone", None, Exception("gone"))
        written(*arguments)

    monkeypatch.setattr(page_writer, "write_results", fails)
    run_id = mirror.ask("backfill")
    away = 0
    while (row := runs.read_run(mirror.harness.engine, run_id))["state"] in ("queued", "running"):
        try:
            mirror.work(run_id)
        except OperationalError:
            away += 1
    # Two may write at a time, and fail together.
    assert (row["state"], away in (2, 3)) == ("done", True)
    mirror.follow_up()
    assert mirror.differences() == []


def test_a_part_that_ends_while_the_open_ones_are_looked_up_is_not_read_again(
    mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read from SQL about it is old by then."""
    look = page_writer.readable_parts
    answer, calls = mirror.intercom.respond, list[str]()

    def slowly(reader: Engine, run: SyncRun) -> list[Part]:
        found = look(reader, run)
        [readers] = mirror.sync._readers.values()
        wait_until(lambda: "tags" not in readers.active_parts)
        return found

    def noting(request: ApiRequest) -> ApiResponse:
        calls.append(request.path)
        return answer(request)

    monkeypatch.setattr(page_writer, "readable_parts", slowly)
    monkeypatch.setattr(mirror.intercom, "answer", noting)
    assert mirror.run("backfill")["state"] == "done"
    assert calls.count("/tags") == 1


def test_random_failures_of_intercom_cost_only_time(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors, empty answers and broken JSON are asked for again."""
    monkeypatch.setattr(page_writer, "FIRST_RETRY_SECONDS", 0.01)
    mirror.intercom.change({"error_rate": 0.05, "empty_rate": 0.02, "broken_rate": 0.02, "scroll_error_rate": 0.1})
    row = mirror.run("backfill")
    mirror.intercom.change({"error_rate": 0.0, "empty_rate": 0.0, "broken_rate": 0.0})
    mirror.follow_up()
    assert (row["state"], mirror.differences()) == ("done", [])


def test_a_cursor_that_intercom_no_longer_takes_restarts_its_window(mirror: MirrorHarness) -> None:
    """The window is read from its beginning."""
    run_id = mirror.ask("backfill")
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
    mirror.follow_up()
    assert mirror.differences() == []


def test_companies_are_listed_while_somebody_else_scrolls(mirror: MirrorHarness) -> None:
    """Either way leads to all of them."""
    mirror.intercom.change({"scroll_lock": True})
    row = mirror.run("backfill")
    assert (row["state"], mirror.differences()) == ("done", [])
    assert not any("scroll" in call for call in mirror.intercom.workspace_apis[WORKSPACE].calls if "GET" not in call)


def test_companies_beyond_the_wall_arrive(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pages end and somebody else scrolls, the part waits for the scroll."""
    monkeypatch.setattr(page_writer, "MAX_RETRY_SECONDS", 0.1)
    mirror.intercom.change({"scroll_lock": True, "list_wall": 60})
    for number in range(60):
        mirror.workspace.create_company({"name": f"Company {number}"})
    everyone = [record.id for record in mirror.workspace.contacts.values() if not record.archived]
    for contact_id, company_id in zip(everyone, mirror.workspace.companies, strict=False):
        mirror.workspace.attach(contact_id, company_id)
    run_id = mirror.ask("backfill")
    while not runs.read_run(mirror.harness.engine, run_id)["error"]:
        mirror.sync.work(time.monotonic() + 0.3)
    mirror.intercom.change({"scroll_lock": False})
    row = mirror.work(run_id)
    mirror.follow_up()
    assert (row["state"], mirror.differences()) == ("done", [])


@pytest.mark.parametrize("timezone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York"])
def test_no_time_zone_hides_a_contact(redis_url: str, sqlite_url: str, timezone: str) -> None:
    """Days of the search are the workspace's own."""
    workspace = EmulatedWorkspace(WORKSPACE, timezone=timezone)
    with open_mirror(redis_url, sqlite_url, workspace) as mirror:
        populate(workspace, 60, 5, seed=4)
        for number, record in enumerate(workspace.contacts.values()):
            # At the edges of days, in seconds of which each contact has another one.
            record.values["created_at"] = (1_600_000_000_000 // 86_400_000 + number) * 86_400_000 + (
                number % 3 - 1
            ) * 1000
        mirror.run("backfill")
        assert count(mirror.harness, "contacts") == len(workspace.contacts)


def test_a_token_that_is_refused_ends_the_run(mirror: MirrorHarness) -> None:
    """The connection is looked at, and the row says what to do."""
    mirror.token = "revoked"
    row = mirror.run("backfill")
    assert row["state"] == "failed"
    assert "connect" in row["error"]
    assert mirror.refused


def test_the_marks_say_when_a_backfill_ended(mirror: MirrorHarness) -> None:
    """Each kind of object has one."""
    mirror.run("backfill")
    marks = mirror.harness.rows("SELECT object_type, last_backfill_at FROM sync_marks")
    assert {mark["object_type"] for mark in marks} == {"contact", "company", "tag", "segment"}
    assert all(mark["last_backfill_at"] for mark in marks)


def test_asking_twice_is_asking_once(mirror: MirrorHarness) -> None:
    """A run that is open is the one that is asked for."""
    assert mirror.ask("backfill") == mirror.ask("backfill")


def _expire_leases(mirror: MirrorHarness) -> None:
    with transaction(mirror.harness.engine) as connection:
        connection.execute(update(sync_runs).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))
