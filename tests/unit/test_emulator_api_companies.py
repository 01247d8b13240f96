"""Companies in the emulated API: numbered pages and their limit, the scroll, writes."""

import pytest

from emulator.bulk_load import bulk_load
from tests.emulator_api import NOW, Api


@pytest.fixture
def api() -> Api:
    return Api()


def test_unset_keys_are_absent(api: Api) -> None:
    """Times are in seconds, unset keys are absent, tags have names, contacts are counted."""
    company = api.company(api.user(name="Ada"), company_id="org_1", size=2000)
    api.workspace.tag_company(company, api.workspace.create_tag("vip"))
    shown = api.ok("GET", f"/companies/{company}")
    assert {"name", "plan", "website", "industry", "monthly_spend", "last_request_at"}.isdisjoint(shown)
    assert (shown["created_at"], shown["user_count"], shown["app_id"]) == (NOW // 1000, 1, "demo0001")
    assert [tag["name"] for tag in shown["tags"]["tags"]] == ["vip"]
    assert [segment["name"] for segment in shown["segments"]["segments"]] == ["Large"]
    assert shown["segments"]["segments"] == api.ok("GET", f"/companies/{company}/segments")["data"]


def test_companies_are_found_by_company_id_and_name(api: Api) -> None:
    """Each finds one company; no match is a 404; lists are by tag and segment."""
    company = api.company(api.user(name="Ada"), company_id="org_1", name="Orchard")
    assert api.ok("GET", "/companies", company_id="org_1")["id"] == company
    assert api.ok("GET", "/companies", name="Orchard")["id"] == company
    assert api.error("GET", "/companies", name="Unknown") == (404, "company_not_found")
    assert api.ok("GET", "/companies", tag_id="1")["data"] == []
    assert api.error("GET", "/companies/000000000000000000000000") == (404, "company_not_found")


def test_a_list_has_numbered_pages_up_to_a_limit(api: Api) -> None:
    """15 per page by default, at most 60; companies without contacts are absent; pages beyond the limit are refused."""
    bulk_load(api.workspace, 400, 80, links=2, seed=3)
    lonely = api.company(company_id="org_lonely")
    first = api.ok("POST", "/companies/list")
    assert (len(first["data"]), first["pages"]["page"], first["pages"]["per_page"]) == (15, 1, 15)
    ids = [each["id"] for page in (1, 2) for each in api.ok("POST", "/companies/list", per_page=60, page=page)["data"]]
    assert set(ids) == {record.id for record in api.workspace.companies.values() if record.contact_ids}
    assert lonely not in ids
    assert len(ids) == first["total_count"]
    assert api.error("POST", "/companies/list", per_page=61) == (400, "parameter_invalid")
    api.intercom.change({"list_wall": 60, "show_lonely": True})
    assert api.ok("POST", "/companies/list", per_page=60)["total_count"] == 81
    assert "scroll API" in api.error_message("POST", "/companies/list", per_page=60, page=2)


def test_a_list_follows_changes(api: Api) -> None:
    """A company is listed while it has an active contact."""
    user, company = api.user(name="Ada"), api.company(company_id="org_1")
    totals = []
    for change in (
        lambda: None,
        lambda: api.workspace.attach(user, company),
        lambda: api.workspace.archive_contact(user),
        lambda: api.workspace.unarchive_contact(user),
        lambda: api.workspace.delete_contact(user),
    ):
        change()
        totals.append(api.ok("POST", "/companies/list")["total_count"])
    assert totals == [0, 1, 0, 1, 0]


def test_a_workspace_has_one_scroll(api: Api) -> None:
    """A second one is refused until the first has ended with an empty page."""
    bulk_load(api.workspace, 600, 130, links=2, seed=3)
    first = api.ok("GET", "/companies/scroll")
    assert api.error("GET", "/companies/scroll") == (400, "scroll_exists")
    ids, param = [each["id"] for each in first["data"]], first["scroll_param"]
    while page := api.ok("GET", "/companies/scroll", scroll_param=param)["data"]:
        ids += [each["id"] for each in page]
    assert set(ids) == {record.id for record in api.workspace.companies.values() if record.contact_ids}
    assert len(ids) == len(set(ids))
    assert api.error("GET", "/companies/scroll", scroll_param=param) == (404, "not_found")
    api.ok("GET", "/companies/scroll")


def test_a_scroll_expires_after_a_minute(api: Api) -> None:
    """Then its parameter is unknown and another scroll can begin. The clock shift counts as time."""
    api.company(api.user(name="Ada"), company_id="org_1")
    param = api.ok("GET", "/companies/scroll")["scroll_param"]
    api.clock.advance(60_000)
    api.switches.clock_shift_seconds = 1
    assert api.error_message("GET", "/companies/scroll", scroll_param=param) == "scroll parameter not found"
    api.ok("GET", "/companies/scroll")


def test_a_scroll_can_fail_or_be_occupied(api: Api) -> None:
    """A 500 ends the scroll; another client's scroll blocks a new each."""
    api.company(api.user(name="Ada"), company_id="org_1")
    param = api.ok("GET", "/companies/scroll")["scroll_param"]
    api.switches.scroll_error_rate = 1.0
    assert "restart the scroll" in api.error_message("GET", "/companies/scroll", scroll_param=param)
    api.switches.scroll_error_rate = 0.0
    assert api.error("GET", "/companies/scroll", scroll_param=param)[0] == 404
    api.switches.scroll_lock = True
    assert api.error("GET", "/companies/scroll") == (400, "scroll_exists")


def test_companies_are_created_or_updated(api: Api) -> None:
    """The key is company_id, which never changes; spends are truncated to integers, a plan is created from its name."""
    body = {
        "company_id": "org_1",
        "name": "Orchard",
        "plan": "Team",
        "monthly_spend": 12.9,
        "size": 3,
        "remote_created_at": 1_600_000_000,
        "custom_attributes": {"region": "emea"},
    }
    created = api.ok("POST", "/companies", body)
    assert (created["plan"]["name"], created["monthly_spend"]) == ("Team", 12)
    updated = api.ok("POST", "/companies", {"company_id": "org_1", "size": 4})
    assert (updated["id"], updated["size"], updated["name"]) == (created["id"], 4, "Orchard")
    put = api.ok("PUT", f"/companies/{created['id']}", {"company_id": "org_2", "industry": "Music"})
    assert (put["company_id"], put["industry"]) == ("org_1", "Music")
    assert api.topics() == ["company.created", "company.updated", "company.updated"]
    ids = api.ok("POST", "/companies", {"company_id": "org_1", "update_last_request_at": True})
    assert ids["last_request_at"] == NOW // 1000
    assert api.topics() == []
    assert api.error("POST", "/companies", {"size": 3}) == (400, "bad_request")
    assert api.error("POST", "/companies", {"company_id": "org_1", "monthly_spend": 2**31})[0] == 400


def test_attaching_and_detaching(api: Api) -> None:
    """Both ends have the link, each change has a notification, and the number of companies is limited."""
    user, company = api.user(name="Ada"), api.company(company_id="org_1")
    assert api.ok("POST", f"/contacts/{user}/companies", {"id": company})["user_count"] == 1
    assert [each["id"] for each in api.ok("GET", f"/companies/{company}/contacts")["data"]] == [user]
    api.switches.company_limit = 1
    other = api.company(company_id="org_2")
    code = "contact_company_limit_exceeded"
    assert api.error("POST", f"/contacts/{user}/companies", {"id": other}) == (400, code)
    assert api.ok("DELETE", f"/contacts/{user}/companies/{company}")["user_count"] == 0
    assert api.topics() == ["company.contact.attached", "company.contact.detached"]
    assert api.error("POST", f"/contacts/{user}/companies", {}) == (400, "parameter_not_found")
    assert api.error("POST", f"/contacts/{user}/companies", {"id": "x"}) == (404, "company_not_found")


def test_the_companies_of_a_contact_under_either_key(api: Api) -> None:
    """The documentation's example and schema differ, so a client must read both keys."""
    user = api.user(name="Ada")
    company = api.company(user, company_id="org_1")
    assert [each["id"] for each in api.ok("GET", f"/contacts/{user}/companies")["data"]] == [company]
    api.switches.companies_key = "companies"
    assert [each["id"] for each in api.ok("GET", f"/contacts/{user}/companies")["companies"]] == [company]


def test_deleting_a_company_removes_its_links(api: Api) -> None:
    """Its contacts are detached, then it is deleted."""
    user = api.user(name="Ada")
    company = api.company(user, company_id="org_1")
    assert api.ok("DELETE", f"/companies/{company}") == {"id": company, "object": "company", "deleted": True}
    assert api.topics() == ["company.contact.detached", "company.deleted"]
    assert api.error("GET", f"/companies/{company}")[0] == 404
    assert api.ok("GET", f"/contacts/{user}")["companies"]["total_count"] == 0


def test_the_contacts_of_a_company_have_cursor_pages(api: Api) -> None:
    """Archived contacts are absent."""
    users = [api.user(name=f"User {number}") for number in range(5)]
    company = api.company(*users, company_id="org_1")
    api.workspace.archive_contact(users[0])
    first = api.ok("GET", f"/companies/{company}/contacts", per_page=3)
    cursor = first["pages"]["next"]["starting_after"]
    second = api.ok("GET", f"/companies/{company}/contacts", per_page=3, starting_after=cursor)
    assert {each["id"] for each in first["data"] + second["data"]} == set(users[1:])
