"""What a hosted Intercom integration offers an application; each feature by its number in our list."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.stories.api_user import ApiUser
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows
from tests.stories.workflow_harness import WorkflowHarness


@pytest.fixture
def user(sqlite_site: EmulatedIntercom) -> ApiUser:
    """A user who is connected to one workspace."""
    assert sqlite_site
    return ApiUser("u-1", "demo0001")


def test_row_5_the_application_authenticates_its_user(user: ApiUser) -> None:
    """With a token that it signed itself."""
    response: Any = user.request("GET", "/connections").json
    assert [(each["workspace_id"], each["status"]) for each in response["connections"]] == [("demo0001", "connected")]


def test_row_6_any_endpoint_on_behalf_of_the_connected_user(user: ApiUser, fresh: str) -> None:
    """With every method."""
    made: Any = user.proxy("POST", "/contacts", json={"external_id": fresh}).json
    path = f"/contacts/{made['id']}"
    assert user.proxy("GET", path).json["id"] == made["id"]  # type: ignore[index]
    assert user.proxy("PUT", path, json={"name": "Ada"}).json["name"] == "Ada"  # type: ignore[index]
    assert user.proxy("DELETE", path).json["deleted"] is True  # type: ignore[index]
    assert user.proxy("GET", "/admins").status_code == 200


def test_row_7_the_create_contact_example(user: ApiUser, fresh: str) -> None:
    """With all its fields; the row exists at once."""
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
    response = user.proxy("POST", "/contacts", json=body)
    assert response.status_code == 200, response.text
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
def harness(sqlite_site: EmulatedIntercom, tmp_path: Path) -> Iterator[WorkflowHarness]:
    """A directory of workflow files, and a workspace that has been connected for a minute."""
    directory = tmp_path / "workflows"
    directory.mkdir()
    with ExitStack() as stack:
        yield WorkflowHarness(sqlite_site, directory, stack)


def test_row_9_the_fields_of_a_step_use_the_results_of_earlier_steps(harness: WorkflowHarness) -> None:
    """By templates in {{ … }}."""
    harness.write_file("""\
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
    contact_id = harness.create_user(name="Ada")
    harness.work()
    assert harness.messages_to(contact_id) == ["Hello Ada"]


@pytest.mark.parametrize("event", ["company.created", "company.updated", "contact.created", "contact.updated"])
def test_row_10_four_triggers_start_workflows(harness: WorkflowHarness, event: str) -> None:
    """Company created, company updated, contact created, contact updated."""
    harness.write_file(f"name: record\ntrigger: {{on: {event}}}\nsteps: [{{id: rest, wait: 1 second}}]\n")
    contact_id = harness.create_user(name="Ada")
    harness.receive(harness.workspace.create_company({"company_id": f"of-{contact_id}", "name": "Acme"}))
    company_id = next(reversed(harness.workspace.companies))
    harness.receive(harness.workspace.update_contact(contact_id, {"name": "Grace"}))
    harness.receive(harness.workspace.update_company(company_id, {"size": 12}))
    harness.work()
    object_id = contact_id if event.startswith("contact") else company_id
    assert rows("SELECT object_id, change_seq IS NOT NULL FROM workflow_runs") == [(object_id, True)]
    assert rows("SELECT op FROM changes JOIN workflow_runs ON seq = change_seq") == [(event.partition(".")[2],)]


def test_row_11_the_application_can_read_companies_and_contacts(harness: WorkflowHarness) -> None:
    """As rows, and as changes in the feed, as soon as their notifications are applied."""
    contact_id = harness.create_user(name="Ada")
    harness.receive(harness.workspace.create_company({"company_id": f"of-{contact_id}", "name": "Acme"}))
    company_id = next(reversed(harness.workspace.companies))
    assert rows("SELECT name FROM contacts WHERE id = :id", id=contact_id) == [("Ada",)]
    assert rows("SELECT name FROM companies WHERE id = :id", id=company_id) == [("Acme",)]
    response: Any = ApiUser("u-1").request("GET", "/changes?after=0").json
    assert {(each["object_id"], each["op"]) for each in response["changes"]} >= {
        (contact_id, "created"),
        (company_id, "created"),
    }
