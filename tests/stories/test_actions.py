"""The five actions over HTTP: their input, their responses, and their behaviour after a lost response."""

import json
from typing import Any

import pytest

from emulator.api.api_request import ApiRequest, ApiResponse
from intercom_api.errors import TransientError
from intercom_api.http.transport import send
from tests.stories.api_user import ApiUser, problem
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows


@pytest.fixture
def user(site: EmulatedIntercom) -> ApiUser:
    """A user who is connected to one workspace."""
    assert site
    return ApiUser("u-1", "demo0001")


def mistakes(response: Any) -> dict[str, str]:
    """Return the mistakes in a response, by field."""
    assert problem(response) == "invalid-input"
    return {each["field"]: each["problem"] for each in response.json["mistakes"]}


def test_a_contact_is_created_updated_fetched_and_found(user: ApiUser, fresh: str) -> None:
    """Each response is in the tables at once."""
    made = user.act("create-contact", {"role": "user", "email": f"{fresh}@example.test", "name": "Ada"})
    assert made.status_code == 200, made.text
    contact_id = made.json["contact"]["id"]  # type: ignore[index]
    assert rows("SELECT name FROM contacts WHERE id = :it", it=contact_id) == [("Ada",)]
    changed = user.act("update-contact", {"id": contact_id, "name": "Grace", "custom_attributes": {"seats": 4}})
    assert changed.status_code == 200, changed.text
    assert rows("SELECT name FROM contacts WHERE id = :it", it=contact_id) == [("Grace",)]
    got = user.act("get-contact", {"id": contact_id})
    assert got.json["contact"]["name"] == "Grace"  # type: ignore[index]
    query = {"field": "email", "operator": "=", "value": f"{fresh}@example.test"}
    found: Any = user.act("search-contacts", {"query": query}).json
    assert ([each["id"] for each in found["contacts"]], found["total_count"], found["next"]) == ([contact_id], 1, None)


def test_a_message_is_sent(user: ApiUser, site: EmulatedIntercom, fresh: str) -> None:
    """From the teammate who connected the workspace, unless another is given."""
    made: Any = user.act("create-contact", {"external_id": fresh}).json
    contact_id = made["contact"]["id"]
    sent = user.act("send-message", {"contact_id": contact_id, "body": "Welcome"})
    assert sent.status_code == 200, sent.text
    messages = site.intercom.workspace_apis["demo0001"].messages
    assert [each.body for each in messages if each.contact_id == contact_id] == ["Welcome"]


def test_mistakes_are_explained(user: ApiUser) -> None:
    """By field, before any request to Intercom."""
    given = {
        "emial": "a@b.c",
        "role": "person",
        "signed_up_at": 1767225600000,
        "email": "ada",
        "unsubscribed_from_emails": "yes",
    }
    assert mistakes(user.act("create-contact", given)) == {
        "emial": "is not a field of this action. Did you mean `email`?",
        "role": "must be `user` or `lead`.",
        "signed_up_at": "must be in seconds; this looks like milliseconds. In seconds it is 1767225600.",
        "email": "must be an e-mail address, such as ada@example.com.",
        "unsubscribed_from_emails": "must be true or false.",
    }
    unknown = mistakes(user.act("create-contact", {"role": "user", "custom_attributes": {"seat": 1, "is_admin": 2}}))
    assert unknown["custom_attributes.seat"].startswith(
        "is not a custom attribute of contacts in this workspace. Did you mean `seats`?"
    )
    assert unknown["custom_attributes.is_admin"] == "must be true or false."


def test_an_existing_contact_is_named(user: ApiUser, fresh: str) -> None:
    """With its id in a field of its own."""
    made: Any = user.act("create-contact", {"external_id": fresh}).json
    response = user.act("create-contact", {"external_id": fresh})
    assert (response.status_code, problem(response)) == (409, "contact-exists")
    details: Any = response.json
    assert (details["contact_id"], details["archived"]) == (made["contact"]["id"], False)


def test_an_existing_archived_contact_is_named_as_archived(user: ApiUser, fresh: str) -> None:
    """With the request that unarchives it."""
    made: Any = user.act("create-contact", {"external_id": fresh}).json
    contact_id = made["contact"]["id"]
    user.proxy("POST", f"/contacts/{contact_id}/archive")
    assert [bool(each[0]) for each in rows("SELECT archived FROM contacts WHERE id = :it", it=contact_id)] == [True]
    details: Any = user.act("create-contact", {"external_id": fresh}).json
    assert (details["contact_id"], details["archived"]) == (contact_id, True)
    assert f"/contacts/{contact_id}/unarchive" in details["detail"]


def test_an_existing_contact_that_was_merged_leads_to_its_survivor(
    user: ApiUser, site: EmulatedIntercom, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It can neither be unarchived nor created again; the contact that it was merged into can be updated."""
    tenant = site.intercom.workspace_apis["demo0001"]
    [lead] = tenant.workspace.create_contact("lead", {"external_id": fresh})
    [survivor] = tenant.workspace.create_contact("user", {"external_id": f"{fresh}-user"})
    tenant.act(lambda workspace: workspace.merge_contacts(lead.object_id, survivor.object_id))
    message = f"An archived contact matching those details already exists with id={lead.object_id}"
    body = json.dumps({"type": "error.list", "errors": [{"code": "conflict", "message": message}]}).encode()
    respond = site.intercom.respond

    def refusing(request: ApiRequest) -> ApiResponse:
        return ApiResponse(409, body) if (request.method, request.path) == ("POST", "/contacts") else respond(request)

    monkeypatch.setattr(site.intercom, "respond", refusing)
    refused = user.act("create-contact", {"external_id": fresh})
    details: Any = refused.json
    assert (refused.status_code, problem(refused)) == (409, "contact-exists")
    assert details["merged_into"] == survivor.object_id
    assert "unarchive" not in details["detail"]


def test_a_search_for_null_reaches_intercom_as_null(user: ApiUser, fresh: str) -> None:
    """It finds contacts without the value; left out or sent as text it would find others."""
    made: Any = user.act("create-contact", {"role": "lead", "name": fresh}).json
    other: Any = user.act("create-contact", {"role": "lead", "name": fresh, "email": f"{fresh}@example.test"}).json
    without_email = {"field": "email", "operator": "=", "value": None}
    query = {"operator": "AND", "value": [{"field": "name", "operator": "=", "value": fresh}, without_email]}
    found: Any = user.act("search-contacts", {"query": query}).json
    assert [each["id"] for each in found["contacts"]] == [made["contact"]["id"]]
    assert other["contact"]["id"] != made["contact"]["id"]


def test_the_same_key_has_the_same_response(user: ApiUser, site: EmulatedIntercom, fresh: str) -> None:
    """For a message too; another input with the same key is a mistake."""
    first = user.act("create-contact", {"external_id": fresh}, key=fresh)
    again = user.act("create-contact", {"external_id": fresh}, key=fresh)
    assert (again.status_code, again.json) == (200, first.json)
    contact_id = first.json["contact"]["id"]  # type: ignore[index]
    message = {"contact_id": contact_id, "body": "Once"}
    responses = [user.act("send-message", message, key=f"{fresh}-m").json for _ in range(3)]
    assert responses[0] == responses[1] == responses[2]
    messages = site.intercom.workspace_apis["demo0001"].messages
    assert [each.body for each in messages if each.contact_id == contact_id] == ["Once"]
    other = user.act("send-message", {**message, "body": "Twice"}, key=f"{fresh}-m")
    assert (other.status_code, problem(other)) == (422, "key-reused")


def test_after_a_lost_response_the_outcome_is_unknown(
    user: ApiUser, site: EmulatedIntercom, fresh: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """504, and nothing is sent twice: with the same key it is 504 again, or the contact is found."""
    contact_id = user.act("create-contact", {"external_id": fresh}).json["contact"]["id"]  # type: ignore[index]

    def lost(method: str, url: str, **more: Any) -> Any:
        sent = send(method, url, **more)
        if method == "POST" and url.endswith(("/messages", "/contacts")):
            raise TransientError("The response is lost.", 1.0)
        return sent

    calls = (
        ("send-message", {"contact_id": contact_id, "body": "Once"}),
        ("create-contact", {"external_id": f"{fresh}-2"}),
    )
    with monkeypatch.context() as broken:
        broken.setattr("intercom_api.http.retrying_client.send", lost)
        for name, given in calls:
            response = user.act(name, given, key=f"{fresh}-{name}")
            assert (response.status_code, problem(response), response.json["outcome"]) == (504, "unknown", "unknown")  # type: ignore[index]
    again = [user.act(name, given, key=f"{fresh}-{name}") for name, given in calls]
    assert [response.status_code for response in again] == [504, 200]
    tenant = site.intercom.workspace_apis["demo0001"]
    assert [each.body for each in tenant.messages if each.contact_id == contact_id] == ["Once"]
    twins = [each.id for each in tenant.workspace.contacts.values() if each.values["external_id"] == f"{fresh}-2"]
    assert twins == [again[1].json["contact"]["id"]]  # type: ignore[index]
