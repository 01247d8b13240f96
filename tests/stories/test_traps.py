"""Defects of other mirrors, one story each, that no other file tests; `tests/house/test_traps.py` lists all."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import text, update

from emulator.api.api_request import ApiRequest, ApiResponse
from emulator.bulk_load import bulk_load
from emulator.random_activity import populate
from emulator.workspace import EmulatedWorkspace
from models.db.engine import transaction
from models.tables.sync_tables import sync_runs
from tests.stories.mirror_harness import WORKSPACE, MirrorHarness, count, open_mirror
from tests.waiting import wait_until
from workers.sync import page_readers, page_writer
from workers.sync.run_parts import PageResult, Part, RunContext


@pytest.fixture
def mirror(redis_url: str, database_url: str) -> Iterator[MirrorHarness]:
    """A workspace of some dozen objects, and an empty mirror on either database."""
    with open_mirror(redis_url, database_url) as made:
        populate(made.workspace, 40, 8, seed=6)
        for record in made.workspace.contacts.values():
            # Created the day before: a complete run may miss a new object, which does not mean that it is gone.
            record.values["created_at"] -= 86_400_000
        made.pass_time(600)
        yield made


def reject(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch, path: str, status: int, code: str) -> None:
    """Make one path of the emulator reject every request."""
    respond = mirror.intercom.respond
    body = json.dumps({"type": "error.list", "request_id": "r", "errors": [{"code": code, "message": "No."}]}).encode()

    def rejecting(request: ApiRequest) -> ApiResponse:
        return (
            ApiResponse(status, body, {"Content-Type": "application/json"})
            if request.path == path
            else respond(request)
        )

    monkeypatch.setattr(mirror.intercom, "respond", rejecting)


def _seconds(value: datetime | str) -> int:
    """Return unix seconds for what a driver returns for a time."""
    time = value if isinstance(value, datetime) else datetime.fromisoformat(value).replace(tzinfo=UTC)
    return int((time - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def read_nothing(_context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read nothing, in place of the changes in the meantime."""
    yield PageResult(part.name, [], done=True)


def test_the_10_001st_company_arrives(redis_url: str, sqlite_url: str) -> None:
    """Pages have ten thousand companies; the scroll has all of them."""
    with open_mirror(redis_url, sqlite_url) as made:
        bulk_load(made.workspace, 11, 0, seed=1)
        contact_ids = [record.id for record in made.workspace.contacts.values() if not record.archived]
        for number in range(10_001):
            [notification] = made.workspace.create_company({"company_id": f"c-{number}"})
            made.workspace.attach(contact_ids[number % len(contact_ids)], notification.object_id)
        assert made.work(made.enqueue("backfill"))["state"] == "done"
        assert count(made.harness, "companies") == 10_001


def test_a_tag_that_left_no_trace_in_updated_at_is_found(mirror: MirrorHarness) -> None:
    """A complete run compares what it reads, whatever its updated_at."""
    mirror.run("backfill")
    contact_id = next(iter(mirror.workspace.users))
    record, tag_id = mirror.workspace.contact(contact_id), mirror.workspace.create_tag("Unseen")
    record.tag_ids[tag_id] = None
    mirror.workspace.on_change(record)
    mirror.intercom.workspace_apis[WORKSPACE].clear_cache()
    assert mirror.differences()
    mirror.pass_time(600)
    mirror.run("reconcile", full=True)
    assert mirror.differences() == []


def test_contacts_that_slip_to_a_page_already_read_are_not_missed(
    redis_url: str, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Objects are deleted between two pages, so that later ones move up: the run reads fewer than were counted."""
    with open_mirror(redis_url, sqlite_url) as made:
        # All created on one day, so that one window has several pages. No other part finds what it misses.
        bulk_load(made.workspace, 500, 0, seed=8)
        noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
        for record in made.workspace.contacts.values():
            record.values["created_at"] = round(noon.timestamp() * 1000)
        for part in ("late", "members", "leavers"):
            monkeypatch.setitem(page_readers._READERS, part, read_nothing)
        respond, shifted_queries = made.intercom.respond, set[str]()

        def shifting(request: ApiRequest) -> ApiResponse:
            response = respond(request)
            search = json.loads(request.body) if request.path == "/contacts/search" else {}
            query = json.dumps(search.get("query"))
            if (
                query in shifted_queries
                or response.status != 200
                or not search.get("pagination", {}).get("starting_after")
            ):
                return response
            shifted_queries.add(query)
            page = json.loads(response.content)
            body = json.dumps({**page, "data": page["data"][3:]}).encode()
            return ApiResponse(response.status, body, response.headers)

        monkeypatch.setattr(made.intercom, "respond", shifting)
        assert made.run("backfill")["state"] == "done"
        mirrored = {row["id"] for row in made.harness.rows("SELECT id FROM contacts")}
        assert shifted_queries
        assert {record.id for record in made.workspace.contacts.values() if not record.archived} == mirrored


def test_an_attribute_may_be_a_list_of_objects_a_null_or_missing(mirror: MirrorHarness) -> None:
    """None of them is a column, so none can break one; a reader can distinguish a null from a missing attribute."""
    contact_id = next(iter(mirror.workspace.users))
    order = {"type": "Order", "id": "1", "external_id": None, "custom_attributes": {"total": 2.5}}
    attributes = {"order": {"type": "Order.list", "instances": [order]}, "plan": None}
    mirror.workspace.contact(contact_id).values["custom_attributes"] = attributes
    mirror.run("backfill")
    kinds = f"SELECT name, type FROM contact_attributes WHERE contact_id = '{contact_id}' ORDER BY name"  # noqa: S608
    assert [tuple(row.values()) for row in mirror.harness.rows(kinds)] == [("order", "object"), ("plan", "null")]
    assert mirror.differences() == []
    mirror.deliver(mirror.workspace.update_contact(contact_id, {"custom_attributes": {"plan": "gold"}}))
    mirror.workspace.contact(contact_id).values["custom_attributes"] = {}
    mirror.workspace.mark_updated(mirror.workspace.contact(contact_id))
    mirror.pass_time(600)
    mirror.run("reconcile", full=True)
    assert mirror.harness.rows(kinds) == []


@pytest.mark.parametrize("second", [-86_400, -1, 0, 4_102_444_800])
def test_a_date_before_1970_is_a_date(mirror: MirrorHarness, second: int) -> None:
    """Users import such dates, and a time column must store them."""
    contact_id = next(iter(mirror.workspace.users))
    mirror.workspace.contact(contact_id).values["signed_up_at"] = second * 1000
    mirror.run("backfill")
    moment = mirror.harness.one(f"SELECT signed_up_at FROM contacts WHERE id = '{contact_id}'")  # noqa: S608
    assert _seconds(moment) == second
    assert mirror.differences() == []


def test_a_visit_arrives_with_the_next_list(mirror: MirrorHarness) -> None:
    """Neither a notification nor updated_at shows that a contact's visit changed the company's last_request_at."""
    mirror.run("backfill")
    company = next(each for each in mirror.workspace.companies.values() if each.contact_ids)
    visited = mirror.workspace.now() // 1000
    company.values["last_request_at"] = visited * 1000
    mirror.intercom.workspace_apis[WORKSPACE].clear_cache()
    mirror.pass_time(600)
    mirror.run("reconcile")
    changes = mirror.harness.rows(f"SELECT op FROM changes WHERE object_id = '{company.id}' AND source = 'reconcile'")  # noqa: S608
    moment = mirror.harness.one(f"SELECT last_request_at FROM companies WHERE id = '{company.id}'")  # noqa: S608
    assert _seconds(moment) == visited
    assert changes == [{"op": "updated"}]


def test_attributes_without_an_id_are_identified_by_their_name(mirror: MirrorHarness) -> None:
    """Only custom attributes have ids in Intercom; read twice, each is one row."""
    mirror.run("backfill")
    before = mirror.harness.rows("SELECT model, full_name, id FROM data_attributes ORDER BY model, full_name")
    mirror.run("reconcile", full=True)
    assert mirror.harness.rows("SELECT model, full_name, id FROM data_attributes ORDER BY model, full_name") == before
    assert any(row["id"] is None for row in before)
    assert len({(row["model"], row["full_name"]) for row in before}) == len(before)


def test_a_list_that_the_plan_forbids_does_not_stop_a_backfill(
    mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run records what it could not read, and reads the rest."""
    reject(mirror, monkeypatch, "/segments", 403, "api_plan_restricted")
    row = mirror.run("backfill")
    assert row["state"] == "done"
    assert "plan" in row["detail"]["refused"]["segments"]
    assert count(mirror.harness, "contacts") == 40


def test_a_closed_workspace_ends_a_backfill(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Intercom rejects its token while it is closed; the connection is checked."""
    reject(mirror, monkeypatch, "/contacts/search", 401, "token_suspended")
    assert mirror.run("backfill")["state"] == "failed"
    assert mirror.refused == ["token_suspended"]


def test_a_company_that_no_list_has_stays(mirror: MirrorHarness) -> None:
    """One that Intercom created itself, without a name, and later without contacts: hidden, but not deleted."""
    mirror.run("backfill")
    [created] = mirror.workspace.create_company({"company_id": "65f0-qualification-company", "name": None})
    mirror.workspace.companies[created.object_id].values["created_at"] -= 86_400_000
    contact_id = next(iter(mirror.workspace.users))
    mirror.deliver([created], mirror.workspace.attach(contact_id, created.object_id))
    mirror.deliver(mirror.workspace.detach(contact_id, created.object_id))
    mirror.deliver(mirror.workspace.update_company(created.object_id, {"industry": "None"}))
    mirror.pass_time(600)
    mirror.run("reconcile", full=True)
    of_company = f"SELECT name, company_id FROM companies WHERE id = '{created.object_id}'"  # noqa: S608
    assert mirror.harness.rows(of_company) == [{"name": None, "company_id": "65f0-qualification-company"}]
    assert mirror.differences() == []


def test_a_company_that_lists_hide_is_fetched_because_a_contact_references_it(
    mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the list nor the scroll has it; companies of contacts are fetched by id."""
    hidden = next(each.id for each in mirror.workspace.companies.values() if each.contact_ids)
    respond = mirror.intercom.respond

    def hiding(request: ApiRequest) -> ApiResponse:
        response = respond(request)
        if request.path not in ("/companies/list", "/companies/scroll") or response.status != 200:
            return response
        body = json.loads(response.content)
        body["data"] = [item for item in body["data"] if item["id"] != hidden]
        return ApiResponse(response.status, json.dumps(body).encode(), response.headers)

    monkeypatch.setattr(mirror.intercom, "respond", hiding)
    mirror.run("backfill")
    assert mirror.harness.one(f"SELECT _source FROM companies WHERE id = '{hidden}'") == "refetch"  # noqa: S608
    assert mirror.differences() == []


def test_a_contact_that_is_deleted_during_its_refetch_is_no_longer_dirty(mirror: MirrorHarness) -> None:
    """The contact is gone when its lists are fetched: nothing is left to fetch."""
    mirror.run("backfill")
    contact_id = next(iter(mirror.workspace.users))
    mirror.deliver(mirror.workspace.update_contact(contact_id, {"name": "Short"}))
    with transaction(mirror.harness.engine) as connection:
        connection.execute(text("UPDATE object_states SET dirty = dirty + 1 WHERE object_id = :id"), {"id": contact_id})
    mirror.workspace.delete_contact(contact_id)
    mirror.refetch_all()
    assert mirror.harness.one("SELECT COUNT(*) FROM object_states WHERE dirty > clean") == 0
    assert mirror.differences() == []


@pytest.mark.parametrize("timezone", ["Pacific/Tongatapu", "Pacific/Pago_Pago"])
def test_no_midnight_hides_a_change(redis_url: str, sqlite_url: str, timezone: str) -> None:
    """At +13 and -11: changes within seconds of the end of the workspace's day, just after the last run."""
    with open_mirror(redis_url, sqlite_url, EmulatedWorkspace(WORKSPACE, timezone=timezone)) as made:
        populate(made.workspace, 12, 3, seed=4)
        first = made.run("backfill")
        now = datetime.fromtimestamp(made.workspace.now() / 1000, ZoneInfo(timezone))
        midnight = (now + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
        made.pass_time((midnight - now).total_seconds() - 1)
        for contact_id in list(made.workspace.users)[:4]:
            made.workspace.update_contact(contact_id, {"name": "At midnight"})
            made.pass_time(1)
        # The mirror's clock follows Intercom's: the last run was a minute before.
        last_run = midnight.astimezone(UTC) - timedelta(minutes=1)
        with transaction(made.harness.engine) as connection:
            connection.execute(update(sync_runs).where(sync_runs.c.id == first["id"]).values(started_at=last_run))
        made.run("reconcile")
        assert made.differences() == []


def test_a_token_revoked_in_the_middle_costs_no_row(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read stays; with a new token the next backfill reads the rest."""
    monkeypatch.setattr(page_writer, "FIRST_RETRY_SECONDS", 0.01)
    respond, calls = mirror.intercom.respond, list[str]()

    def revoking(request: ApiRequest) -> ApiResponse:
        calls.append(request.path)
        if request.path == "/contacts/search" and calls.count(request.path) == 2:
            wait_until(lambda: count(mirror.harness, "tags") > 0)
            mirror.intercom.access_tokens.revoke_workspace(WORKSPACE)
        return respond(request)

    monkeypatch.setattr(mirror.intercom, "respond", revoking)
    row = mirror.run("backfill")
    before = count(mirror.harness, "contacts") + count(mirror.harness, "tags")
    assert (row["state"], set(mirror.refused)) == ("failed", {"token_revoked"})
    assert before > 0
    assert "onnect" in row["error"]
    mirror.intercom.access_tokens.restore(mirror.token)
    assert mirror.run("backfill")["state"] == "done"
    assert mirror.differences() == []
    assert count(mirror.harness, "contacts") + count(mirror.harness, "tags") >= before


def test_objects_that_searches_show_late_are_found_by_the_next_run(redis_url: str, sqlite_url: str) -> None:
    """The first run was earlier than the index; each run starts a little before the last one."""
    with open_mirror(redis_url, sqlite_url) as made:
        populate(made.workspace, 12, 3, seed=4)
        made.run("backfill")
        made.intercom.change({"index_lag_seconds": 120})
        [created] = made.workspace.create_contact("user", {"name": "Late"})
        row = f"SELECT name FROM contacts WHERE id = '{created.object_id}'"  # noqa: S608
        made.run("reconcile")
        assert made.harness.rows(row) == []
        made.intercom.change({"index_lag_seconds": 0})
        made.run("reconcile")
        assert made.harness.rows(row) == [{"name": "Late"}]


def test_a_run_over_changes_deletes_nothing(mirror: MirrorHarness) -> None:
    """Only a complete run shows that an object is in no list."""
    mirror.run("backfill")
    gone = next(iter(mirror.workspace.users))
    mirror.workspace.delete_contact(gone)
    mirror.pass_time(600)
    mirror.run("reconcile")
    assert mirror.harness.rows(f"SELECT 1 FROM contacts WHERE id = '{gone}'")  # noqa: S608
    mirror.run("reconcile", full=True)
    assert mirror.differences() == []
