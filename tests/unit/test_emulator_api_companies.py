"""Companies over the pretend Intercom's API: pages by number and their wall, the scroll and its lease, writes."""

import pytest

from emulator.bulk_load import bulk_load
from tests.emulator_api import NOW, Api


@pytest.fixture
def api() -> Api:
    return Api()


def test_what_is_unset_is_left_out(api: Api) -> None:
    """Times in seconds, no keys for what nobody set, tags with names, counts."""
    company = api.company(api.user(name="Ada"), company_id="org_1", size=2000)
    api.workspace.tag_company(company, api.workspace.create_tag("vip"))
    shown = api.ok("GET", f"/companies/{company}")
    assert {"name", "plan", "website", "industry", "monthly_spend", "last_request_at"}.isdisjoint(shown)
    assert (shown["created_at"], shown["user_count"], shown["app_id"]) == (NOW // 1000, 1, "demo0001")
    assert [tag["name"] for tag in shown["tags"]["tags"]] == ["vip"]
    assert [segment["name"] for segment in shown["segments"]["segments"]] == ["Large"]
    assert shown["segments"]["segments"] == api.ok("GET", f"/companies/{company}/segments")["data"]


def test_companies_are_found_by_their_own_id_and_name(api: Api) -> None:
    """One company each; 404 for none; lists by tag and segment."""
    company = api.company(api.user(name="Ada"), company_id="org_1", name="Orchard")
    assert api.ok("GET", "/companies", company_id="org_1")["id"] == company
    assert api.ok("GET", "/companies", name="Orchard")["id"] == company
    assert api.refused("GET", "/companies", name="Nobody") == (404, "company_not_found")
    assert api.ok("GET", "/companies", tag_id="1")["data"] == []
    assert api.refused("GET", "/companies/000000000000000000000000") == (404, "company_not_found")


def test_a_list_goes_by_page_numbers_up_to_a_wall(api: Api) -> None:
    """15 by default, 60 at most; companies without contacts are not shown; then it refuses to go on."""
    bulk_load(api.workspace, 400, 80, links=2, seed=3)
    lonely = api.company(company_id="org_lonely")
    first = api.ok("POST", "/companies/list")
    assert (len(first["data"]), first["pages"]["page"], first["pages"]["per_page"]) == (15, 1, 15)
    seen = [one["id"] for page in (1, 2) for one in api.ok("POST", "/companies/list", per_page=60, page=page)["data"]]
    assert set(seen) == {record.id for record in api.workspace.companies.values() if record.contact_ids}
    assert lonely not in seen
    assert len(seen) == first["total_count"]
    assert api.refused("POST", "/companies/list", per_page=61) == (400, "parameter_invalid")
    api.intercom.change({"list_wall": 60, "show_lonely": True})
    assert api.ok("POST", "/companies/list", per_page=60)["total_count"] == 81
    assert "scroll API" in api.message("POST", "/companies/list", per_page=60, page=2)


def test_a_list_follows_what_happens(api: Api) -> None:
    """A company is listed from its first contact on, and no longer than it has one."""
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


def test_a_scroll_is_one_lease(api: Api) -> None:
    """A second one is refused, the first goes on with its parameter, ends empty, and then another may begin."""
    bulk_load(api.workspace, 600, 130, links=2, seed=3)
    first = api.ok("GET", "/companies/scroll")
    assert api.refused("GET", "/companies/scroll") == (400, "scroll_exists")
    seen, param = [one["id"] for one in first["data"]], first["scroll_param"]
    while page := api.ok("GET", "/companies/scroll", scroll_param=param)["data"]:
        seen += [one["id"] for one in page]
    assert set(seen) == {record.id for record in api.workspace.companies.values() if record.contact_ids}
    assert len(seen) == len(set(seen))
    assert api.refused("GET", "/companies/scroll", scroll_param=param) == (404, "not_found")
    api.ok("GET", "/companies/scroll")


def test_a_scroll_expires_after_a_minute(api: Api) -> None:
    """Unused for longer, its parameter is unknown and another scroll may begin; the clock can be moved on for that."""
    api.company(api.user(name="Ada"), company_id="org_1")
    param = api.ok("GET", "/companies/scroll")["scroll_param"]
    api.clock.advance(60_000)
    api.switches.clock_shift_seconds = 1
    assert api.message("GET", "/companies/scroll", scroll_param=param) == "scroll parameter not found"
    api.ok("GET", "/companies/scroll")


def test_a_scroll_breaks_or_is_taken(api: Api) -> None:
    """A 500 ends it for good; somebody else's cannot be shared."""
    api.company(api.user(name="Ada"), company_id="org_1")
    param = api.ok("GET", "/companies/scroll")["scroll_param"]
    api.switches.scroll_error_rate = 1.0
    assert "restart the scroll" in api.message("GET", "/companies/scroll", scroll_param=param)
    api.switches.scroll_error_rate = 0.0
    assert api.refused("GET", "/companies/scroll", scroll_param=param)[0] == 404
    api.switches.scroll_lock = True
    assert api.refused("GET", "/companies/scroll") == (400, "scroll_exists")


def test_companies_are_created_or_updated(api: Api) -> None:
    """By company_id, which is never changed; money is cut, a plan's name makes a plan."""
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
    seen = api.ok("POST", "/companies", {"company_id": "org_1", "update_last_request_at": True})
    assert seen["last_request_at"] == NOW // 1000
    assert api.topics() == []
    assert api.refused("POST", "/companies", {"size": 3}) == (400, "bad_request")
    assert api.refused("POST", "/companies", {"company_id": "org_1", "monthly_spend": 2**31})[0] == 400


def test_attaching_and_detaching(api: Api) -> None:
    """Both ends know it, both are told, and a contact has no more companies than allowed."""
    user, company = api.user(name="Ada"), api.company(company_id="org_1")
    assert api.ok("POST", f"/contacts/{user}/companies", {"id": company})["user_count"] == 1
    assert [one["id"] for one in api.ok("GET", f"/companies/{company}/contacts")["data"]] == [user]
    api.switches.company_limit = 1
    other = api.company(company_id="org_2")
    code = "contact_company_limit_exceeded"
    assert api.refused("POST", f"/contacts/{user}/companies", {"id": other}) == (400, code)
    assert api.ok("DELETE", f"/contacts/{user}/companies/{company}")["user_count"] == 0
    assert api.topics() == ["company.contact.attached", "company.contact.detached"]
    assert api.refused("POST", f"/contacts/{user}/companies", {}) == (400, "parameter_not_found")
    assert api.refused("POST", f"/contacts/{user}/companies", {"id": "x"}) == (404, "company_not_found")


def test_the_companies_of_a_contact_under_either_key(api: Api) -> None:
    """The documentation's example and schema differ, so a reader must take both."""
    user = api.user(name="Ada")
    company = api.company(user, company_id="org_1")
    assert [one["id"] for one in api.ok("GET", f"/contacts/{user}/companies")["data"]] == [company]
    api.switches.companies_key = "companies"
    assert [one["id"] for one in api.ok("GET", f"/contacts/{user}/companies")["companies"]] == [company]


def test_a_deleted_company_takes_its_links_along(api: Api) -> None:
    """Its contacts are detached, then it is gone."""
    user = api.user(name="Ada")
    company = api.company(user, company_id="org_1")
    assert api.ok("DELETE", f"/companies/{company}") == {"id": company, "object": "company", "deleted": True}
    assert api.topics() == ["company.contact.detached", "company.deleted"]
    assert api.refused("GET", f"/companies/{company}")[0] == 404
    assert api.ok("GET", f"/contacts/{user}")["companies"]["total_count"] == 0


def test_the_contacts_of_a_company_go_by_cursor(api: Api) -> None:
    """Archived ones are left out."""
    users = [api.user(name=f"User {number}") for number in range(5)]
    company = api.company(*users, company_id="org_1")
    api.workspace.archive_contact(users[0])
    first = api.ok("GET", f"/companies/{company}/contacts", per_page=3)
    cursor = first["pages"]["next"]["starting_after"]
    second = api.ok("GET", f"/companies/{company}/contacts", per_page=3, starting_after=cursor)
    assert {one["id"] for one in first["data"] + second["data"]} == set(users[1:])
