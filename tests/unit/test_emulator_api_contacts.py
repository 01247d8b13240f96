"""Contacts over the pretend Intercom's API: lists, forms by version, writes, merges, duplicates, what is told."""

import pytest

from emulator.bulk_load import bulk_load
from tests.emulator_api import NOW, Api


@pytest.fixture
def api() -> Api:
    return Api()


def test_a_list_goes_by_cursor(api: Api) -> None:
    """Ten by default, 150 at most, all of them once, no archived ones."""
    bulk_load(api.workspace, 120, 3, links=1, seed=2)
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.ok("GET", "/contacts", **cursor)
        seen += [one["id"] for one in page["data"]]
        if "next" not in page["pages"]:
            break
        assert len(page["data"]) == 10
        cursor = {"starting_after": page["pages"]["next"]["starting_after"]}
    assert len(seen) == len(set(seen)) == page["total_count"] == len(api.workspace.users) + len(api.workspace.leads)
    assert api.refused("GET", "/contacts", per_page=151) == (400, "parameter_invalid")


def test_bad_cursors(api: Api) -> None:
    """An empty one is Intercom's own failure; the word None and rubbish are the caller's."""
    assert api.refused("GET", "/contacts", starting_after="") == (500, "server_error")
    assert api.refused("GET", "/contacts", starting_after="None") == (400, "client_error")
    # The last two are "[" and another search's cursor.
    api.user(name="Ada")
    for cursor in ("rubbish", "Ww==", "W1syLCJhIl0sImIiXQ=="):
        assert "starting_after" in api.message("GET", "/contacts", starting_after=cursor)
    api.switches.page_errors = False
    assert api.refused("GET", "/contacts", starting_after="") == (400, "client_error")


def test_lists_inside_a_contact_are_cut(api: Api) -> None:
    """Ten companies and tags at most, with the true count and where the rest is; the lists themselves are whole."""
    user = api.user(name="Ada")
    companies = [api.company(user, company_id=f"org_{number}") for number in range(12)]
    for number in range(11):
        api.workspace.tag(user, api.workspace.create_tag(f"tag {number}"))
    contact = api.ok("GET", f"/contacts/{user}")
    for name, count in (("companies", 12), ("tags", 11)):
        cut = contact[name]
        assert (len(cut["data"]), cut["total_count"], cut["has_more"]) == (10, count, True)
    assert len(api.ok("GET", contact["tags"]["url"])["data"]) == 11
    pages = [api.ok("GET", contact["companies"]["url"], per_page=5, page=page) for page in (1, 2, 3)]
    assert [one["id"] for page in pages for one in page["data"]] == companies
    assert [page["pages"]["next"] is None for page in pages] == [False, False, True]


def test_owner_ids_and_merged_contacts_by_version(api: Api) -> None:
    """Before 2.16 a number and a plain 404, from then on a text and 410 with the way to the survivor."""
    user, lead, last = api.user(name="Ada", owner_id=7_450_231), api.lead(name="Visitor"), api.user(name="Ivo")
    api.workspace.merge_contacts(lead, user)
    api.version = "2.15"
    assert api.ok("GET", f"/contacts/{user}")["owner_id"] == 7_450_231
    assert api.refused("GET", f"/contacts/{lead}") == (404, "not_found")
    api.version = "2.16"
    assert api.ok("GET", f"/contacts/{user}")["owner_id"] == "7450231"
    assert api.refused("GET", f"/contacts/{lead}") == (410, "contact_merged")
    api.workspace.merge_contacts(user, last, any_role=True)
    assert api.answer("GET", f"/contacts/{lead}").headers["Link"] == f'</contacts/{last}>; rel="canonical"'
    api.version = "9.9"
    assert api.refused("GET", f"/contacts/{lead}") == (400, "intercom_version_invalid")


def test_a_survivor_tells_its_merges(api: Api) -> None:
    """Its own list, newest first, and inside the contact if asked for; leads have none."""
    user, leads = api.user(name="Ada"), [api.lead(name="Visitor") for _ in range(3)]
    for lead in leads:
        api.clock.advance(1000)
        api.workspace.merge_contacts(lead, user)
    page = api.ok("GET", f"/contacts/{user}/merge_history", per_page=2)
    assert [one["source_contact_id"] for one in page["data"]] == [leads[2], leads[1]]
    rest = api.ok("GET", f"/contacts/{user}/merge_history", per_page=2, cursor=page["next_cursor"])
    assert [one["source_contact_id"] for one in rest["data"]] == [leads[0]]
    assert not rest["has_more"]
    assert len(api.ok("GET", f"/contacts/{user}", include_merge_history="true")["merge_history"]) == 3
    assert api.refused("GET", f"/contacts/{api.lead(name='x')}/merge_history")[0] == 404


def test_creating_tells_and_shows(api: Api) -> None:
    """The answer has the values, times in seconds; the notification is the same as that of a deed by hand."""
    body = {
        "role": "user",
        "email": "Ada@orchard.example",
        "external_id": "a1",
        "signed_up_at": 1_700_000_000,
        "avatar": "https://x.example/a.png",
        "custom_attributes": {"seats": 3},
        "owner_id": "7450231",
    }
    contact = api.ok("POST", "/contacts", body)
    assert (contact["email"], contact["signed_up_at"]) == ("ada@orchard.example", 1_700_000_000)
    assert contact["avatar"]["image_url"] == "https://x.example/a.png"
    assert contact["created_at"] == NOW // 1000
    assert api.topics() == ["contact.user.created"]
    assert api.ok("GET", "/contacts/find_by_external_id/a1")["id"] == contact["id"]


@pytest.mark.parametrize(
    "body",
    [
        {"name": "Ada"},
        {"role": "visitor"},
        {"email": "nonsense"},
        {"role": "user", "custom_attributes": {"unknown": 1}},
        {"role": "user", "custom_attributes": {"seats": "many"}},
        {"role": "user", "signed_up_at": "yesterday"},
        {"role": "user", "unsubscribed_from_emails": "yes"},
    ],
)
def test_what_cannot_be_created_is_refused(api: Api, body: dict[str, object]) -> None:
    """A 400, and nothing is told."""
    assert api.refused("POST", "/contacts", body)[0] == 400
    assert api.topics() == []


def test_a_twin_is_a_conflict(api: Api) -> None:
    """409 on create and update; the twin's id is only in the text, which says whether it is archived."""
    ada = api.user(email="ada@orchard.example", external_id="a1")
    twin = {"role": "user", "email": "ADA@orchard.example"}
    assert api.refused("POST", "/contacts", twin) == (409, "conflict")
    assert api.message("POST", "/contacts", twin) == f"A contact matching those details already exists with id={ada}"
    other = api.user(email="ivo@orchard.example", external_id="i1")
    assert api.refused("PUT", f"/contacts/{other}", {"external_id": "a1"}) == (409, "conflict")
    api.workspace.archive_contact(ada)
    text = api.message("POST", "/contacts", {"external_id": "a1"})
    assert text == f"An archived contact matching those details already exists with id={ada}"
    api.workspace.delete_contact(ada)
    api.ok("POST", "/contacts", {"external_id": "a1"})


def test_updating(api: Api) -> None:
    """Only what is named changes, null clears, an update without change is silent."""
    user = api.user(name="Ada", phone="+12025550142", custom_attributes={"seats": 3, "plan_tier": "gold"})
    changed = api.ok("PUT", f"/contacts/{user}", {"phone": None, "custom_attributes": {"seats": 4}})
    assert (changed["name"], changed["phone"]) == ("Ada", None)
    assert changed["custom_attributes"] == {"seats": 4, "plan_tier": "gold"}
    assert api.topics() == ["contact.user.updated"]
    api.ok("PUT", f"/contacts/{user}", {"name": "Ada"})
    assert api.topics() == []
    api.ok("PUT", f"/contacts/{user}", {"unsubscribed_from_emails": True})
    assert api.topics() == ["contact.unsubscribed"]
    assert api.refused("PUT", f"/contacts/{user}", {"role": "lead"}) == (400, "client_error")


def test_nobody_is_a_twin_of_itself(api: Api) -> None:
    """An email that differs by its case only is the contact's own."""
    user = api.user(email="Ada@orchard.example")
    assert api.ok("PUT", f"/contacts/{user}", {"email": "ada@orchard.example"})["email"] == "ada@orchard.example"


def test_a_lead_becomes_a_user(api: Api) -> None:
    """The id stays."""
    lead = api.lead(name="Visitor")
    contact = api.ok("PUT", f"/contacts/{lead}", {"role": "user", "external_id": "v1"})
    assert (contact["role"], contact["external_id"]) == ("user", "v1")
    assert api.topics() == ["contact.lead.signed_up"]


def test_milliseconds_store_nonsense(api: Api) -> None:
    """Who sends milliseconds is not told so."""
    contact = api.ok("POST", "/contacts", {"role": "user", "signed_up_at": NOW})
    assert contact["signed_up_at"] not in (NOW, NOW // 1000)


def test_archiving_blocking_deleting(api: Api) -> None:
    """Each answers with a stub and is told; the archived one is still found by its id, unless that is switched off."""
    user = api.user(external_id="a1")
    assert api.ok("POST", f"/contacts/{user}/archive") == {
        "type": "contact",
        "id": user,
        "external_id": "a1",
        "archived": True,
    }
    api.ok("GET", f"/contacts/{user}")
    api.switches.show_archived = False
    assert api.refused("GET", f"/contacts/{user}")[0] == 404
    assert api.ok("POST", f"/contacts/{user}/unarchive")["archived"] is False
    assert api.ok("POST", f"/contacts/{user}/block")["blocked"] is True
    api.switches.show_archived = True
    assert api.ok("DELETE", f"/contacts/{user}")["deleted"] is True
    assert api.refused("DELETE", f"/contacts/{user}")[0] == 404
    assert api.topics() == ["contact.archived", "contact.unarchived", "contact.archived", "contact.deleted"]


def test_merging(api: Api) -> None:
    """A lead into a user who is its duplicate, or if that is not asked for; nothing else, and there is no way back."""
    user, lead = api.user(email="ada@orchard.example"), api.lead(email="ada@orchard.example")
    stranger = api.lead(email="ivo@orchard.example")
    assert api.refused("POST", "/contacts/merge", {"from": user, "into": lead}) == (400, "invalid_merge")
    assert api.refused("POST", "/contacts/merge", {"from": stranger, "into": user}) == (400, "invalid_merge")
    assert api.refused("POST", "/contacts/merge", {"from": lead}) == (400, "parameter_not_found")
    assert api.ok("POST", "/contacts/merge", {"from": lead, "into": user})["id"] == user
    api.ok("POST", "/contacts/merge", {"from": stranger, "into": user, "skip_duplicate_validation": True})
    assert api.topics() == ["contact.merged", "contact.merged"]
    assert "not restorable" in api.message("POST", f"/contacts/{lead}/unarchive")
    assert [one["id"] for one in api.ok("GET", "/contacts")["data"]] == [user]


def test_tags_subscriptions_notes(api: Api) -> None:
    """Each is put on and taken off, seen in its list and, where Intercom tells of it, told."""
    user = api.user(name="Ada")
    tag = api.ok("POST", "/tags", {"name": "vip"})
    assert api.ok("POST", "/tags", {"name": "VIP"})["id"] == tag["id"]
    api.ok("POST", f"/contacts/{user}/tags", {"id": tag["id"]})
    assert api.ok("GET", f"/contacts/{user}")["tags"]["total_count"] == 1
    api.ok("DELETE", f"/contacts/{user}/tags/{tag['id']}")
    assert api.ok("GET", f"/contacts/{user}/tags")["data"] == []
    api.ok("POST", f"/contacts/{user}/subscriptions", {"id": "137", "consent_type": "opt_in"})
    assert [one["id"] for one in api.ok("GET", f"/contacts/{user}/subscriptions")["data"]] == ["137"]
    api.ok("DELETE", f"/contacts/{user}/subscriptions/137")
    api.ok("POST", f"/contacts/{user}/notes", {"body": "Called."})
    assert api.ok("GET", f"/contacts/{user}")["notes"]["total_count"] == 1
    assert api.topics() == [
        "contact.user.tag.created",
        "contact.user.tag.deleted",
        "granular.subscribe",
        "granular.unsubscribe",
    ]
