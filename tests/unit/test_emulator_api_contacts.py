"""Contacts in the emulated API: lists, formats by version, writes, merges, duplicates, notifications."""

import pytest

from emulator.bulk_load import bulk_load
from tests.emulator_api import NOW, Api


@pytest.fixture
def api() -> Api:
    return Api()


def test_a_list_has_cursor_pages(api: Api) -> None:
    """Ten per page by default, at most 150; each active contact appears once."""
    bulk_load(api.workspace, 120, 3, links=1, seed=2)
    ids: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.ok("GET", "/contacts", **cursor)
        ids += [each["id"] for each in page["data"]]
        if "next" not in page["pages"]:
            break
        assert len(page["data"]) == 10
        cursor = {"starting_after": page["pages"]["next"]["starting_after"]}
    assert len(ids) == len(set(ids)) == page["total_count"] == len(api.workspace.users) + len(api.workspace.leads)
    assert api.error("GET", "/contacts", per_page=151) == (400, "parameter_invalid")


def test_bad_cursors(api: Api) -> None:
    """An empty cursor is a server error; the word None and invalid cursors are client errors."""
    assert api.error("GET", "/contacts", starting_after="") == (500, "server_error")
    assert api.error("GET", "/contacts", starting_after="None") == (400, "client_error")
    # The second decodes to "[", the third is the cursor of another search.
    api.user(name="Ada")
    for cursor in ("rubbish", "Ww==", "W1syLCJhIl0sImIiXQ=="):
        assert "starting_after" in api.error_message("GET", "/contacts", starting_after=cursor)
    api.switches.page_errors = False
    assert api.error("GET", "/contacts", starting_after="") == (400, "client_error")


def test_lists_inside_a_contact_are_limited(api: Api) -> None:
    """At most ten companies and tags, with the total and the URL of the complete list."""
    user = api.user(name="Ada")
    companies = [api.company(user, company_id=f"org_{number}") for number in range(12)]
    for number in range(11):
        api.workspace.tag(user, api.workspace.create_tag(f"tag {number}"))
    contact = api.ok("GET", f"/contacts/{user}")
    for name, count in (("companies", 12), ("tags", 11)):
        embedded = contact[name]
        assert (len(embedded["data"]), embedded["total_count"], embedded["has_more"]) == (10, count, True)
    assert len(api.ok("GET", contact["tags"]["url"])["data"]) == 11
    pages = [api.ok("GET", contact["companies"]["url"], per_page=5, page=page) for page in (1, 2, 3)]
    assert [each["id"] for page in pages for each in page["data"]] == companies
    assert [page["pages"]["next"] is None for page in pages] == [False, False, True]


def test_owner_ids_and_merged_contacts_by_version(api: Api) -> None:
    """Before 2.16 a number and a 404; from 2.16 on a text and a 410 with a link to the survivor."""
    user, lead, last = api.user(name="Ada", owner_id=7_450_231), api.lead(name="Visitor"), api.user(name="Ivo")
    api.workspace.merge_contacts(lead, user)
    api.version = "2.15"
    assert api.ok("GET", f"/contacts/{user}")["owner_id"] == 7_450_231
    assert api.error("GET", f"/contacts/{lead}") == (404, "not_found")
    api.version = "2.16"
    assert api.ok("GET", f"/contacts/{user}")["owner_id"] == "7450231"
    assert api.error("GET", f"/contacts/{lead}") == (410, "contact_merged")
    api.workspace.merge_contacts(user, last, any_role=True)
    assert api.call("GET", f"/contacts/{lead}").headers["Link"] == f'</contacts/{last}>; rel="canonical"'
    api.version = "9.9"
    assert api.error("GET", f"/contacts/{lead}") == (400, "intercom_version_invalid")


def test_a_survivor_lists_its_merges(api: Api) -> None:
    """In a list of its own, newest first, and on request inside the contact; leads have none."""
    user, leads = api.user(name="Ada"), [api.lead(name="Visitor") for _ in range(3)]
    for lead in leads:
        api.clock.advance(1000)
        api.workspace.merge_contacts(lead, user)
    page = api.ok("GET", f"/contacts/{user}/merge_history", per_page=2)
    assert [each["source_contact_id"] for each in page["data"]] == [leads[2], leads[1]]
    rest = api.ok("GET", f"/contacts/{user}/merge_history", per_page=2, cursor=page["next_cursor"])
    assert [each["source_contact_id"] for each in rest["data"]] == [leads[0]]
    assert not rest["has_more"]
    assert len(api.ok("GET", f"/contacts/{user}", include_merge_history="true")["merge_history"]) == 3
    assert api.error("GET", f"/contacts/{api.lead(name='x')}/merge_history")[0] == 404


def test_creating_returns_the_contact_and_notifies(api: Api) -> None:
    """The response has the values, times in seconds; the notification is that of a new user."""
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
def test_invalid_contacts_are_refused(api: Api, body: dict[str, object]) -> None:
    """The response is a 400, and there is no notification."""
    assert api.error("POST", "/contacts", body)[0] == 400
    assert api.topics() == []


def test_a_duplicate_is_a_conflict(api: Api) -> None:
    """409 on create and update; the message contains the duplicate's id and whether it is archived."""
    ada = api.user(email="ada@orchard.example", external_id="a1")
    duplicate = {"role": "user", "email": "ADA@orchard.example"}
    assert api.error("POST", "/contacts", duplicate) == (409, "conflict")
    assert (
        api.error_message("POST", "/contacts", duplicate)
        == f"A contact matching those details already exists with id={ada}"
    )
    other = api.user(email="ivo@orchard.example", external_id="i1")
    assert api.error("PUT", f"/contacts/{other}", {"external_id": "a1"}) == (409, "conflict")
    api.workspace.archive_contact(ada)
    text = api.error_message("POST", "/contacts", {"external_id": "a1"})
    assert text == f"An archived contact matching those details already exists with id={ada}"
    api.workspace.delete_contact(ada)
    api.ok("POST", "/contacts", {"external_id": "a1"})


def test_updating_sets_only_named_fields(api: Api) -> None:
    """Null clears a field; an update without a change has no notification."""
    user = api.user(name="Ada", phone="+12025550142", custom_attributes={"seats": 3, "plan_tier": "gold"})
    changed = api.ok("PUT", f"/contacts/{user}", {"phone": None, "custom_attributes": {"seats": 4}})
    assert (changed["name"], changed["phone"]) == ("Ada", None)
    assert changed["custom_attributes"] == {"seats": 4, "plan_tier": "gold"}
    assert api.topics() == ["contact.user.updated"]
    api.ok("PUT", f"/contacts/{user}", {"name": "Ada"})
    assert api.topics() == []
    api.ok("PUT", f"/contacts/{user}", {"unsubscribed_from_emails": True})
    assert api.topics() == ["contact.unsubscribed"]
    assert api.error("PUT", f"/contacts/{user}", {"role": "lead"}) == (400, "client_error")


def test_a_contact_is_not_its_own_duplicate(api: Api) -> None:
    """An email that differs only in case is the contact's own."""
    user = api.user(email="Ada@orchard.example")
    assert api.ok("PUT", f"/contacts/{user}", {"email": "ada@orchard.example"})["email"] == "ada@orchard.example"


def test_a_lead_becomes_a_user(api: Api) -> None:
    """The id stays."""
    lead = api.lead(name="Visitor")
    contact = api.ok("PUT", f"/contacts/{lead}", {"role": "user", "external_id": "v1"})
    assert (contact["role"], contact["external_id"]) == ("user", "v1")
    assert api.topics() == ["contact.lead.signed_up"]


def test_milliseconds_are_stored_as_a_wrong_time(api: Api) -> None:
    """A time in milliseconds is not refused."""
    contact = api.ok("POST", "/contacts", {"role": "user", "signed_up_at": NOW})
    assert contact["signed_up_at"] not in (NOW, NOW // 1000)


def test_archiving_blocking_deleting(api: Api) -> None:
    """Each returns a stub and notifies; an archived contact is found by id unless the switch is off."""
    user = api.user(external_id="a1")
    assert api.ok("POST", f"/contacts/{user}/archive") == {
        "type": "contact",
        "id": user,
        "external_id": "a1",
        "archived": True,
    }
    api.ok("GET", f"/contacts/{user}")
    api.switches.show_archived = False
    assert api.error("GET", f"/contacts/{user}")[0] == 404
    assert api.ok("POST", f"/contacts/{user}/unarchive")["archived"] is False
    assert api.ok("POST", f"/contacts/{user}/block")["blocked"] is True
    api.switches.show_archived = True
    assert api.ok("DELETE", f"/contacts/{user}")["deleted"] is True
    assert api.error("DELETE", f"/contacts/{user}")[0] == 404
    assert api.topics() == ["contact.archived", "contact.unarchived", "contact.archived", "contact.deleted"]


def test_merging(api: Api) -> None:
    """Only a lead into a user that is its duplicate, unless validation is skipped; a merge cannot be undone."""
    user, lead = api.user(email="ada@orchard.example"), api.lead(email="ada@orchard.example")
    stranger = api.lead(email="ivo@orchard.example")
    assert api.error("POST", "/contacts/merge", {"from": user, "into": lead}) == (400, "invalid_merge")
    assert api.error("POST", "/contacts/merge", {"from": stranger, "into": user}) == (400, "invalid_merge")
    assert api.error("POST", "/contacts/merge", {"from": lead}) == (400, "parameter_not_found")
    assert api.ok("POST", "/contacts/merge", {"from": lead, "into": user})["id"] == user
    api.ok("POST", "/contacts/merge", {"from": stranger, "into": user, "skip_duplicate_validation": True})
    assert api.topics() == ["contact.merged", "contact.merged"]
    assert "not restorable" in api.error_message("POST", f"/contacts/{lead}/unarchive")
    assert [each["id"] for each in api.ok("GET", "/contacts")["data"]] == [user]


def test_tags_subscriptions_notes(api: Api) -> None:
    """Each is added and removed, appears in its list and, where Intercom has a topic, notifies."""
    user = api.user(name="Ada")
    tag = api.ok("POST", "/tags", {"name": "vip"})
    assert api.ok("POST", "/tags", {"name": "VIP"})["id"] == tag["id"]
    api.ok("POST", f"/contacts/{user}/tags", {"id": tag["id"]})
    assert api.ok("GET", f"/contacts/{user}")["tags"]["total_count"] == 1
    api.ok("DELETE", f"/contacts/{user}/tags/{tag['id']}")
    assert api.ok("GET", f"/contacts/{user}/tags")["data"] == []
    api.ok("POST", f"/contacts/{user}/subscriptions", {"id": "137", "consent_type": "opt_in"})
    assert [each["id"] for each in api.ok("GET", f"/contacts/{user}/subscriptions")["data"]] == ["137"]
    api.ok("DELETE", f"/contacts/{user}/subscriptions/137")
    api.ok("POST", f"/contacts/{user}/notes", {"body": "Called."})
    assert api.ok("GET", f"/contacts/{user}")["notes"]["total_count"] == 1
    assert api.topics() == [
        "contact.user.tag.created",
        "contact.user.tag.deleted",
        "granular.subscribe",
        "granular.unsubscribe",
    ]
