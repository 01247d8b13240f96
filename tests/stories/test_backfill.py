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

from emulator.api.calls import Answer
from emulator.api.intercom import Request
from emulator.life import populate
from emulator.workspace import Workspace
from intercom_api.http import company_scroll
from models.db.engine import transaction
from models.tables.sync_tables import sync_runs
from tests.laws.test_concurrency import wait_for_a_lock
from tests.stories.filling import WORKSPACE, Filling, count, filling_at
from tests.waiting import wait_until
from workers.sync import page_writer, runs
from workers.sync.parts import Part, Run


@pytest.fixture
def filling(redis_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Filling]:
    """A workspace of some hundred objects and an empty mirror, on either database."""
    # A scroll that broke off is taken for a minute; here nobody waits for that.
    monkeypatch.setattr(company_scroll, "TAKEN_PATIENCE_SECONDS", 0.0)
    with filling_at(redis_url, database_url) as made:
        populate(made.workspace, 200, 40, seed=3, links=4)
        yield made


def test_everything_that_a_workspace_holds_is_in_the_tables(filling: Filling) -> None:
    """Contacts, companies, tags, segments, attributes and all their links, the long ones too."""
    row = filling.run("backfill")
    assert row["state"] == "done", row
    assert filling.differences() == []
    assert count(filling.harness, "tags") == len(filling.workspace.tags)
    assert count(filling.harness, "data_attributes") > 0
    assert row["seen"] == row["expected"]


def test_what_notifications_tell_meanwhile_is_not_overwritten(filling: Filling) -> None:
    """An index that lags shows old names and contacts that are gone; neither comes back."""
    filling.pass_time(120)
    filling.intercom.change({"index_lag_seconds": 60})
    contacts = list(filling.workspace.contacts.values())
    filling.act(filling.workspace.update_contact(contacts[0].id, {"name": "Newest"}))
    filling.act(filling.workspace.delete_contact(contacts[1].id))
    filling.run("backfill")
    assert filling.harness.one(f"SELECT name FROM contacts WHERE id = '{contacts[0].id}'") == "Newest"  # noqa: S608
    assert count(filling.harness, "contacts") == len(filling.workspace.contacts)
    assert filling.differences() == []


def test_another_process_goes_on_where_one_died(filling: Filling) -> None:
    """Nothing is lost with it, and what was written is not read again."""
    run_id = filling.ask("backfill")
    filling.sync.work(time.monotonic() + 0.2)
    before = runs.read(filling.harness.engine, run_id)
    # As kill -9 leaves it: the threads are gone, the lease runs on.
    filling.sync.close()
    heir = filling.new_sync()
    heir.work(time.monotonic() + 0.2)
    assert runs.read(filling.harness.engine, run_id)["lease_by"] == before["lease_by"]
    _let_leases_end(filling)
    row = filling.work(run_id, heir)
    filling.follow_up()
    heir.close()
    assert (row["state"], filling.differences()) == ("done", [])


def test_two_processes_never_write_the_same_run(filling: Filling) -> None:
    """Whoever lost its lease writes nothing more."""
    run_id = filling.ask("backfill")
    filling.sync.work(time.monotonic() + 0.2)
    _let_leases_end(filling)
    heir = filling.new_sync()
    filling.work(run_id, heir)
    heir.close()
    filling.sync.work(time.monotonic() + 0.5)
    filling.follow_up()
    assert runs.read(filling.harness.engine, run_id)["state"] == "done"
    assert filling.differences() == []


def test_an_heir_waits_for_the_page_that_is_being_written(redis_url: str, postgres_url: str) -> None:
    """The lease may end while somebody writes; until that is committed nobody begins where it began."""
    with filling_at(redis_url, postgres_url) as made:
        made.ask("backfill")
        engine, now = made.harness.engine, datetime.now(UTC)
        taken = runs.take(engine, "writer", now)
        assert taken is not None
        heirs: list[Run | None] = []
        heir = threading.Thread(target=lambda: heirs.append(runs.take(engine, "heir", datetime.now(UTC))))
        with transaction(engine) as connection:
            runs.hold(connection, taken)
            # What `renew` does passes beside it.
            runs.renew(engine, taken, now - timedelta(minutes=1))
            heir.start()
            wait_for_a_lock(postgres_url)
            assert heirs == []
        heir.join()
        assert [run.lease for run in heirs if run] == ["heir"]
        with pytest.raises(runs.LeaseLostError), transaction(engine) as connection:
            runs.hold(connection, taken)


def test_pages_that_could_not_be_written_are_read_again(filling: Filling, monkeypatch: pytest.MonkeyPatch) -> None:
    """The database goes away for a moment: what was in hand then is not lost."""
    written = page_writer.write
    failures = iter([True, False, True, False, False, True])

    def fails(*arguments: Any) -> None:
        if next(failures, False):
            raise OperationalError("gone", None, Exception("gone"))
        written(*arguments)

    monkeypatch.setattr(page_writer, "write", fails)
    run_id = filling.ask("backfill")
    away = 0
    while (row := runs.read(filling.harness.engine, run_id))["state"] in ("queued", "running"):
        try:
            filling.work(run_id)
        except OperationalError:
            away += 1
    # Two may write at a time, and fail together.
    assert (row["state"], away in (2, 3)) == ("done", True)
    filling.follow_up()
    assert filling.differences() == []


def test_a_part_that_ends_while_the_open_ones_are_looked_up_is_not_read_again(
    filling: Filling, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What was read from SQL about it is old by then."""
    look = page_writer.open_parts
    answer, calls = filling.intercom.answer, list[str]()

    def slowly(reader: Engine, run: Run) -> list[Part]:
        found = look(reader, run)
        [crew] = filling.sync._crews.values()
        wait_until(lambda: "tags" not in crew.in_hand)
        return found

    def noting(request: Request) -> Answer:
        calls.append(request.path)
        return answer(request)

    monkeypatch.setattr(page_writer, "open_parts", slowly)
    monkeypatch.setattr(filling.intercom, "answer", noting)
    assert filling.run("backfill")["state"] == "done"
    assert calls.count("/tags") == 1


def test_random_failures_of_intercom_cost_only_time(filling: Filling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors, empty answers and broken JSON are asked for again."""
    monkeypatch.setattr(page_writer, "FIRST_PAUSE", 0.01)
    filling.intercom.change({"error_rate": 0.05, "empty_rate": 0.02, "broken_rate": 0.02, "scroll_error_rate": 0.1})
    row = filling.run("backfill")
    filling.intercom.change({"error_rate": 0.0, "empty_rate": 0.0, "broken_rate": 0.0})
    filling.follow_up()
    assert (row["state"], filling.differences()) == ("done", [])


def test_a_cursor_that_intercom_no_longer_takes_restarts_its_window(filling: Filling) -> None:
    """The window is read from its beginning."""
    run_id = filling.ask("backfill")
    filling.sync.work(time.monotonic() + 0.2)
    filling.sync.close()
    stale = json.dumps({"after": "no cursor", "met": 1, "kept": 1, "passes": 1, "total": 200})
    with transaction(filling.harness.engine) as connection:
        connection.execute(
            text("UPDATE sync_parts SET cursor = :c, state = 'open' WHERE part LIKE 'contacts/%'"), {"c": stale}
        )
    _let_leases_end(filling)
    filling.sync = filling.new_sync()
    assert filling.work(run_id)["state"] == "done"
    filling.follow_up()
    assert filling.differences() == []


def test_companies_are_listed_while_somebody_else_scrolls(filling: Filling) -> None:
    """Either way leads to all of them."""
    filling.intercom.change({"scroll_lock": True})
    row = filling.run("backfill")
    assert (row["state"], filling.differences()) == ("done", [])
    assert not any("scroll" in call for call in filling.intercom.tenants[WORKSPACE].calls if "GET" not in call)


def test_companies_beyond_the_wall_arrive(filling: Filling, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where pages end and somebody else scrolls, the part waits for the scroll."""
    monkeypatch.setattr(page_writer, "LONGEST_PAUSE", 0.1)
    filling.intercom.change({"scroll_lock": True, "list_wall": 60})
    for number in range(60):
        filling.workspace.create_company({"name": f"Company {number}"})
    everyone = [record.id for record in filling.workspace.contacts.values() if not record.archived]
    for contact_id, company_id in zip(everyone, filling.workspace.companies, strict=False):
        filling.workspace.attach(contact_id, company_id)
    run_id = filling.ask("backfill")
    while not runs.read(filling.harness.engine, run_id)["error"]:
        filling.sync.work(time.monotonic() + 0.3)
    filling.intercom.change({"scroll_lock": False})
    row = filling.work(run_id)
    filling.follow_up()
    assert (row["state"], filling.differences()) == ("done", [])


@pytest.mark.parametrize("timezone", ["Pacific/Kiritimati", "Pacific/Pago_Pago", "America/New_York"])
def test_no_time_zone_hides_a_contact(redis_url: str, sqlite_url: str, timezone: str) -> None:
    """Days of the search are the workspace's own."""
    workspace = Workspace(WORKSPACE, timezone=timezone)
    with filling_at(redis_url, sqlite_url, workspace) as filling:
        populate(workspace, 60, 5, seed=4)
        for number, record in enumerate(workspace.contacts.values()):
            # At the edges of days, in seconds of which each contact has another one.
            record.values["created_at"] = (1_600_000_000_000 // 86_400_000 + number) * 86_400_000 + (
                number % 3 - 1
            ) * 1000
        filling.run("backfill")
        assert count(filling.harness, "contacts") == len(workspace.contacts)


def test_a_token_that_is_refused_ends_the_run(filling: Filling) -> None:
    """The connection is looked at, and the row says what to do."""
    filling.token = "revoked"
    row = filling.run("backfill")
    assert row["state"] == "failed"
    assert "connect" in row["error"]
    assert filling.refused


def test_the_marks_say_when_a_backfill_ended(filling: Filling) -> None:
    """Each kind of object has one."""
    filling.run("backfill")
    marks = filling.harness.rows("SELECT object_type, last_backfill_at FROM sync_marks")
    assert {mark["object_type"] for mark in marks} == {"contact", "company", "tag", "segment"}
    assert all(mark["last_backfill_at"] for mark in marks)


def test_asking_twice_is_asking_once(filling: Filling) -> None:
    """A run that is open is the one that is asked for."""
    assert filling.ask("backfill") == filling.ask("backfill")


def _let_leases_end(filling: Filling) -> None:
    with transaction(filling.harness.engine) as connection:
        connection.execute(update(sync_runs).values(lease_until=datetime.now(UTC) - timedelta(seconds=1)))
