"""What a hosted Intercom integration offers an application, each thing by the number that it has in our list."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.stories.api_user import ApiUser
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows
from tests.stories.workflow_harness import Works


@pytest.fixture
def user(sqlite_site: EmulatedIntercom) -> ApiUser:
    """Somebody who is connected to one workspace."""
    assert sqlite_site
    return ApiUser("u-1", "demo0001")


def test_row_5_the_application_authenticates_its_user(user: ApiUser) -> None:
    """With a token that it signed itself."""
    told: Any = user.request("GET", "/connections").json
    assert [(each["workspace_id"], each["status"]) for each in told["connections"]] == [("demo0001", "connected")]


def test_row_6_any_endpoint_on_behalf_of_the_connected_user(user: ApiUser, fresh: str) -> None:
    """With every method."""
    made: Any = user.proxy("POST", "/contacts", json={"external_id": fresh}).json
    path = f"/contacts/{made['id']}"
    assert user.proxy("GET", path).json["id"] == made["id"]  # type: ignore[index]
    assert user.proxy("PUT", path, json={"name": "Ada"}).json["name"] == "Ada"  # type: ignore[index]
    assert user.proxy("DELETE", path).json["deleted"] is True  # type: ignore[index]
    assert user.proxy("GET", "/admins").status_code == 200


def test_row_7_the_create_contact_example(user: ApiUser, fresh: str) -> None:
    """With all its fields; the row is there at once."""
    body = {
        "role": "user",
        "external_id": fresh,
        "email": f"{fresh}@example.test",
        "phone": "+441134960000",
        "name": "Ada",
        "avatar": "https://example.test/ada.png",
        "last_seen_at": 1767225600,
        "signed_up_at": 1767225600,
        "owner_id": 7450231,
        "unsubscribed_from_emails": False,
        "custom_attributes": {"plan_tier": "gold"},
    }
    answer = user.proxy("POST", "/contacts", json=body)
    assert answer.status_code == 200, answer.text
    assert rows("SELECT name, phone FROM contacts WHERE external_id = :it", it=fresh) == [("Ada", "+441134960000")]


def test_row_8_five_actions(user: ApiUser, fresh: str) -> None:
    """Create contact, update contact, get contact by id, search contacts, send message."""
    made: Any = user.act("create-contact", {"external_id": fresh}).json
    contact_id = made["contact"]["id"]
    assert user.act("update-contact", {"id": contact_id, "name": "Ada"}).status_code == 200
    got: Any = user.act("get-contact", {"id": contact_id}).json
    assert got["contact"]["name"] == "Ada"
    query = {"field": "external_id", "operator": "=", "value": fresh}
    found: Any = user.act("search-contacts", {"query": query}).json
    assert [each["id"] for each in found["contacts"]] == [contact_id]
    assert user.act("send-message", {"contact_id": contact_id, "body": "Hello"}).status_code == 200


@pytest.fixture
def works(sqlite_site: EmulatedIntercom, tmp_path: Path) -> Iterator[Works]:
    """A folder for workflow files, and a workspace that has been connected for a minute."""
    directory = tmp_path / "workflows"
    directory.mkdir()
    with ExitStack() as stack:
        yield Works(sqlite_site, directory, stack)


def test_row_9_a_step_s_fields_use_what_earlier_steps_were_answered(works: Works) -> None:
    """Written with {{ … }}."""
    works.file("""\
name: greet
trigger: {on: contact.created}
steps:
  - id: get
    action: get-contact
    with: {id: "{{ record.id }}"}
  - id: greet
    action: send-message
    with: {contact_id: "{{ steps.get.contact.id }}", body: "Hello {{ steps.get.contact.name }}"}
""")
    contact_id = works.user(name="Ada")
    works.work()
    assert works.messages_to(contact_id) == ["Hello Ada"]


@pytest.mark.parametrize("event", ["company.created", "company.updated", "contact.created", "contact.updated"])
def test_row_10_four_triggers_start_workflows(works: Works, event: str) -> None:
    """Company created, company updated, contact created, contact updated."""
    works.file(f"name: heard\ntrigger: {{on: {event}}}\nsteps: [{{id: rest, wait: 1 second}}]\n")
    contact_id = works.user(name="Ada")
    works.hear(works.workspace.create_company({"company_id": f"of-{contact_id}", "name": "Acme"}))
    company_id = next(reversed(works.workspace.companies))
    works.hear(works.workspace.update_contact(contact_id, {"name": "Grace"}))
    works.hear(works.workspace.update_company(company_id, {"size": 12}))
    works.work()
    made = contact_id if event.startswith("contact") else company_id
    assert rows("SELECT object_id, change_seq IS NOT NULL FROM workflow_runs") == [(made, True)]
    assert rows("SELECT op FROM changes JOIN workflow_runs ON seq = change_seq") == [(event.partition(".")[2],)]


def test_row_11_companies_and_contacts_are_in_the_application_s_reach(works: Works) -> None:
    """As rows, and as lines of the feed, as soon as Intercom has told of them."""
    contact_id = works.user(name="Ada")
    works.hear(works.workspace.create_company({"company_id": f"of-{contact_id}", "name": "Acme"}))
    company_id = next(reversed(works.workspace.companies))
    assert rows("SELECT name FROM contacts WHERE id = :id", id=contact_id) == [("Ada",)]
    assert rows("SELECT name FROM companies WHERE id = :id", id=company_id) == [("Acme",)]
    told: Any = ApiUser("u-1").request("GET", "/changes?after=0").json
    assert {(each["object_id"], each["op"]) for each in told["changes"]} >= {
        (contact_id, "created"),
        (company_id, "created"),
    }
