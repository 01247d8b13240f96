"""The proxy forwards any call of Intercom's API on behalf of the connected user."""

from typing import Any

import pytest

from tests.stories.api_user import ApiUser, problem
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows
from workers.connections import registry


@pytest.fixture
def user(site: EmulatedIntercom) -> ApiUser:
    """A user who is connected to one workspace."""
    assert site
    return ApiUser("u-1", "demo0001")


def test_the_example_of_creating_a_contact_works(user: ApiUser, site: EmulatedIntercom, fresh: str) -> None:
    """Method, body and response are forwarded unchanged, and the row exists at once."""
    given = {
        "role": "user",
        "external_id": fresh,
        "email": f"{fresh}@example.test",
        "phone": "+441134960000",
        "name": "Ada",
        "last_seen_at": 1767225600,
        "signed_up_at": 1767225600,
        "owner_id": 7450231,
        "unsubscribed_from_emails": False,
        "custom_attributes": {"seats": 3},
    }
    answer = user.proxy("POST", "/contacts", json=given)
    assert answer.status_code == 200, answer.text
    created: dict[str, Any] = answer.json  # type: ignore[assignment]
    assert created["id"] in site.intercom.workspace_apis["demo0001"].workspace.contacts
    assert rows("SELECT id, email, _source FROM contacts WHERE external_id = :it", it=fresh) == [
        (created["id"], f"{fresh}@example.test", "write_through")
    ]


def test_a_response_is_returned_unchanged(user: ApiUser) -> None:
    """Status, body and rate-limit headers; and a browser does not treat it as a page."""
    answer = user.proxy("GET", "/contacts/66500000000000000000dead")
    assert answer.status_code == 404
    assert answer.json["type"] == "error.list"  # type: ignore[index]
    assert int(answer.headers["X-RateLimit-Limit"]) > 0
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers


def test_a_workspace_that_refuses_the_token_is_disconnected(user: ApiUser, site: EmulatedIntercom) -> None:
    """The 401 is returned, and the next call has a problem with advice."""
    site.intercom.access_tokens.revoke_workspace("demo0001")
    assert user.proxy("GET", "/me").status_code == 401
    answer = user.proxy("GET", "/me")
    assert (answer.status_code, problem(answer)) == (409, "not-connected")
    assert registry.connected_workspaces() == []
