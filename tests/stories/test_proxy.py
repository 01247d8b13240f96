"""Any endpoint of Intercom's, on behalf of the connected user, and nothing else."""

from typing import Any

import pytest

from tests.stories.api_user import ApiUser, problem
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import rows
from workers.connections import registry


@pytest.fixture
def user(site: EmulatedIntercom) -> ApiUser:
    """Somebody who is connected to one workspace."""
    assert site
    return ApiUser("u-1", "demo0001")


def test_the_example_of_creating_a_contact_works(user: ApiUser, site: EmulatedIntercom, fresh: str) -> None:
    """Method, body and answer pass through as they are, and the row is there at once."""
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
    told: dict[str, Any] = answer.json  # type: ignore[assignment]
    assert told["id"] in site.intercom.workspace_apis["demo0001"].workspace.contacts
    assert rows("SELECT id, email, _source FROM contacts WHERE external_id = :it", it=fresh) == [
        (told["id"], f"{fresh}@example.test", "write_through")
    ]


def test_an_answer_comes_back_as_it_is(user: ApiUser) -> None:
    """Status, body and the headers of the allowance; and nothing that makes it a page."""
    answer = user.proxy("GET", "/contacts/66500000000000000000dead")
    assert answer.status_code == 404
    assert answer.json["type"] == "error.list"  # type: ignore[index]
    assert int(answer.headers["X-RateLimit-Limit"]) > 0
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "Set-Cookie" not in answer.headers


def test_a_workspace_that_refuses_the_token_is_disconnected(user: ApiUser, site: EmulatedIntercom) -> None:
    """The 401 comes back, and the next call says what to do."""
    site.intercom.access_tokens.revoke_workspace("demo0001")
    assert user.proxy("GET", "/me").status_code == 401
    answer = user.proxy("GET", "/me")
    assert (answer.status_code, problem(answer)) == (409, "not-connected")
    assert registry.connected_workspaces() == []
