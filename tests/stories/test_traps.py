"""What other syncers ran into, one story each, where no other file tells it; `tests/house/test_traps.py` lists all."""

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
from workers.sync.parts import PageResult, Part, RunContext


@pytest.fixture
def mirror(redis_url: str, database_url: str) -> Iterator[MirrorHarness]:
    """A workspace of some dozen objects, and an empty mirror on either database."""
    with open_mirror(redis_url, database_url) as made:
        populate(made.workspace, 40, 8, seed=6)
        for record in made.workspace.contacts.values():
            # Of the day before: what is new may be missed by a walk without being gone.
            record.values["created_at"] -= 86_400_000
        made.pass_time(600)
        yield made


def refuse(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch, path: str, status: int, code: str) -> None:
    """Let one address of Intercom's refuse everybody."""
    answer = mirror.intercom.respond
    body = json.dumps({"type": "error.list", "request_id": "r", "errors": [{"code": code, "message": "No."}]}).encode()

    def refusing(request: ApiRequest) -> ApiResponse:
        return (
            ApiResponse(status, body, {"Content-Type": "application/json"}) if request.path == path else answer(request)
        )

    monkeypatch.setattr(mirror.intercom, "respond", refusing)


def _seconds(moment: datetime | str) -> int:
    """Read what a driver returns for a column of times as unix seconds."""
    told = moment if isinstance(moment, datetime) else datetime.fromisoformat(moment).replace(tzinfo=UTC)
    return int((told - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())


def nothing(_context: RunContext, part: Part) -> Iterator[PageResult]:
    """Read nothing in the place of what changed meanwhile."""
    yield PageResult(part.name, [], done=True)


def test_the_10_001st_company_arrives(redis_url: str, sqlite_url: str) -> None:
    """Pages show ten thousand; the scroll shows them all."""
    with open_mirror(redis_url, sqlite_url) as made:
        bulk_load(made.workspace, 11, 0, seed=1)
        everyone = [record.id for record in made.workspace.contacts.values() if not record.archived]
        for number in range(10_001):
            [told] = made.workspace.create_company({"company_id": f"c-{number}"})
            made.workspace.attach(everyone[number % len(everyone)], told.object_id)
        assert made.work(made.enqueue("backfill"))["state"] == "done"
        assert count(made.harness, "companies") == 10_001


def test_a_tag_that_left_no_trace_in_updated_at_is_found(mirror: MirrorHarness) -> None:
    """A complete walk compares what it reads, whatever its time says."""
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
    """Between two pages something went, so that the next ones moved up: fewer are met than were counted."""
    with open_mirror(redis_url, sqlite_url) as made:
        # All of one day, so that one window has several pages; nothing else finds what it misses.
        bulk_load(made.workspace, 500, 0, seed=8)
        noon = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) - timedelta(days=1)
        for record in made.workspace.contacts.values():
            record.values["created_at"] = round(noon.timestamp() * 1000)
        for part in ("late", "members", "leavers"):
            monkeypatch.setitem(page_readers._READERS, part, nothing)
        answer, slipped = made.intercom.respond, set[str]()

        def slipping(request: ApiRequest) -> ApiResponse:
            told = answer(request)
            asked = json.loads(request.body) if request.path == "/contacts/search" else {}
            query = json.dumps(asked.get("query"))
            if query in slipped or told.status != 200 or not asked.get("pagination", {}).get("starting_after"):
                return told
            slipped.add(query)
            page = json.loads(told.content)
            return ApiResponse(told.status, json.dumps({**page, "data": page["data"][3:]}).encode(), told.headers)

        monkeypatch.setattr(made.intercom, "respond", slipping)
        assert made.run("backfill")["state"] == "done"
        held = {row["id"] for row in made.harness.rows("SELECT id FROM contacts")}
        assert slipped
        assert {record.id for record in made.workspace.contacts.values() if not record.archived} == held


def test_an_attribute_may_be_a_list_of_objects_a_null_or_missing(mirror: MirrorHarness) -> None:
    """None of them is a column, so none of them can break one; a reader tells a null from nothing."""
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
    """Somebody imported it, and a column of times must bear it."""
    contact_id = next(iter(mirror.workspace.users))
    mirror.workspace.contact(contact_id).values["signed_up_at"] = second * 1000
    mirror.run("backfill")
    moment = mirror.harness.one(f"SELECT signed_up_at FROM contacts WHERE id = '{contact_id}'")  # noqa: S608
    assert _seconds(moment) == second
    assert mirror.differences() == []


def test_a_visit_is_seen_with_the_next_list(mirror: MirrorHarness) -> None:
    """Nobody tells that a contact's visit moved the company's last_request_at, nor does its updated_at."""
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


def test_attributes_without_an_id_are_known_by_their_name(mirror: MirrorHarness) -> None:
    """Intercom gives ids to custom ones only; read twice, each is one row."""
    mirror.run("backfill")
    before = mirror.harness.rows("SELECT model, full_name, id FROM data_attributes ORDER BY model, full_name")
    mirror.run("reconcile", full=True)
    assert mirror.harness.rows("SELECT model, full_name, id FROM data_attributes ORDER BY model, full_name") == before
    assert any(row["id"] is None for row in before)
    assert len({(row["model"], row["full_name"]) for row in before}) == len(before)


def test_a_list_that_the_plan_forbids_does_not_stop_a_fill(
    mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run says what it could not read, and reads the rest."""
    refuse(mirror, monkeypatch, "/segments", 403, "api_plan_restricted")
    row = mirror.run("backfill")
    assert row["state"] == "done"
    assert "plan" in row["detail"]["refused"]["segments"]
    assert count(mirror.harness, "contacts") == 40


def test_a_closed_workspace_ends_a_fill(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its token is refused for as long as it is closed; the connection is looked at."""
    refuse(mirror, monkeypatch, "/contacts/search", 401, "token_suspended")
    assert mirror.run("backfill")["state"] == "failed"
    assert mirror.refused == ["token_suspended"]


def test_a_company_that_no_list_shows_stays(mirror: MirrorHarness) -> None:
    """One that Intercom made by itself, without a name, and without contacts after a while: hidden, and not gone."""
    mirror.run("backfill")
    [told] = mirror.workspace.create_company({"company_id": "65f0-qualification-company", "name": None})
    mirror.workspace.companies[told.object_id].values["created_at"] -= 86_400_000
    contact_id = next(iter(mirror.workspace.users))
    mirror.deliver([told], mirror.workspace.attach(contact_id, told.object_id))
    mirror.deliver(mirror.workspace.detach(contact_id, told.object_id))
    mirror.deliver(mirror.workspace.update_company(told.object_id, {"industry": "None"}))
    mirror.pass_time(600)
    mirror.run("reconcile", full=True)
    of_company = f"SELECT name, company_id FROM companies WHERE id = '{told.object_id}'"  # noqa: S608
    assert mirror.harness.rows(of_company) == [{"name": None, "company_id": "65f0-qualification-company"}]
    assert mirror.differences() == []


def test_a_company_that_lists_hide_is_fetched_since_a_contact_names_it(
    mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the list nor the scroll shows it; what a contact is attached to is asked for by its id."""
    hidden = next(each.id for each in mirror.workspace.companies.values() if each.contact_ids)
    answer = mirror.intercom.respond

    def hiding(request: ApiRequest) -> ApiResponse:
        told = answer(request)
        if request.path not in ("/companies/list", "/companies/scroll") or told.status != 200:
            return told
        body = json.loads(told.content)
        body["data"] = [item for item in body["data"] if item["id"] != hidden]
        return ApiResponse(told.status, json.dumps(body).encode(), told.headers)

    monkeypatch.setattr(mirror.intercom, "respond", hiding)
    mirror.run("backfill")
    assert mirror.harness.one(f"SELECT _source FROM companies WHERE id = '{hidden}'") == "refetch"  # noqa: S608
    assert mirror.differences() == []


def test_a_contact_that_vanishes_during_its_refetch_ends_the_doubt(mirror: MirrorHarness) -> None:
    """Its parent is gone when its lists are asked for: nothing is left to be asked."""
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
    """At +13 and at -11: what changed within seconds of the end of the workspace's day, when we looked just before."""
    with open_mirror(redis_url, sqlite_url, EmulatedWorkspace(WORKSPACE, timezone=timezone)) as made:
        populate(made.workspace, 12, 3, seed=4)
        first = made.run("backfill")
        now = datetime.fromtimestamp(made.workspace.now() / 1000, ZoneInfo(timezone))
        midnight = (now + timedelta(days=2)).replace(hour=0, minute=0, second=0, microsecond=0)
        made.pass_time((midnight - now).total_seconds() - 1)
        for contact_id in list(made.workspace.users)[:4]:
            made.workspace.update_contact(contact_id, {"name": "At midnight"})
            made.pass_time(1)
        # The mirror's clock goes with Intercom's: it looked last a minute before.
        looked = midnight.astimezone(UTC) - timedelta(minutes=1)
        with transaction(made.harness.engine) as connection:
            connection.execute(update(sync_runs).where(sync_runs.c.id == first["id"]).values(started_at=looked))
        made.run("reconcile")
        assert made.differences() == []


def test_a_token_revoked_in_the_middle_costs_no_row(mirror: MirrorHarness, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read stays; with a new token the next fill reads the rest."""
    monkeypatch.setattr(page_writer, "FIRST_RETRY_SECONDS", 0.01)
    answer, calls = mirror.intercom.respond, list[str]()

    def revoking(request: ApiRequest) -> ApiResponse:
        calls.append(request.path)
        if request.path == "/contacts/search" and calls.count(request.path) == 2:
            wait_until(lambda: count(mirror.harness, "tags") > 0)
            mirror.intercom.access_tokens.revoke_workspace(WORKSPACE)
        return answer(request)

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


def test_what_searches_show_late_is_found_by_the_next_look(redis_url: str, sqlite_url: str) -> None:
    """The first look came before the index did; each look begins a little before the last one."""
    with open_mirror(redis_url, sqlite_url) as made:
        populate(made.workspace, 12, 3, seed=4)
        made.run("backfill")
        made.intercom.change({"index_lag_seconds": 120})
        [told] = made.workspace.create_contact("user", {"name": "Late"})
        row = f"SELECT name FROM contacts WHERE id = '{told.object_id}'"  # noqa: S608
        made.run("reconcile")
        assert made.harness.rows(row) == []
        made.intercom.change({"index_lag_seconds": 0})
        made.run("reconcile")
        assert made.harness.rows(row) == [{"name": "Late"}]


def test_what_only_changes_are_read_of_takes_nothing_away(mirror: MirrorHarness) -> None:
    """That something is in no list is known of a complete walk alone."""
    mirror.run("backfill")
    gone = next(iter(mirror.workspace.users))
    mirror.workspace.delete_contact(gone)
    mirror.pass_time(600)
    mirror.run("reconcile")
    assert mirror.harness.rows(f"SELECT 1 FROM contacts WHERE id = '{gone}'")  # noqa: S608
    mirror.run("reconcile", full=True)
    assert mirror.differences() == []
