"""What goes wrong under /api is told as RFC 9457 wants it, whoever it comes from."""

import pytest

from settings import get_settings
from tests.stories.api_user import ApiUser, problem
from tests.stories.conftest import EmulatedIntercom
from webhooks.app import create_app
from workers.runtime import process


@pytest.fixture
def user(sqlite_site: EmulatedIntercom) -> ApiUser:
    """Somebody who is connected to one workspace."""
    assert sqlite_site
    return ApiUser("u-1", "demo0001")


def test_unknown_addresses_and_methods_are_problems(user: ApiUser) -> None:
    """Not the pages that Flask shows elsewhere."""
    missing = user.request("GET", "/nothing-here")
    assert (missing.status_code, problem(missing)) == (404, "not-found")
    wrong = user.request("DELETE", "/connections")
    assert (wrong.status_code, problem(wrong)) == (405, "method-not-allowed")
    assert "GET" in wrong.headers["Allow"]
    assert create_app().test_client().get("/nothing-here").mimetype == "text/html"


def test_an_unknown_action_is_told_which_there_are(user: ApiUser) -> None:
    """With their names."""
    answer = user.act("create-everything", {})
    assert (answer.status_code, problem(answer)) == (404, "no-such-action")
    assert answer.json["actions"] == [  # type: ignore[index]
        "create-contact",
        "get-contact",
        "search-contacts",
        "send-message",
        "update-contact",
    ]


@pytest.mark.parametrize("body", [b"{", b"\xff", b"[" * 100_000, b'{"a": NaN}'])
def test_a_body_that_is_no_json_is_refused(user: ApiUser, body: bytes) -> None:
    """In words, without repeating it."""
    answer = user.request("POST", "/actions/get-contact", data=body)
    assert (answer.status_code, problem(answer)) == (400, "no-json")


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1"])
def test_an_input_that_is_no_object_is_refused(user: ApiUser, body: bytes) -> None:
    """The same."""
    answer = user.request("POST", "/actions/get-contact", data=body)
    assert (answer.status_code, problem(answer)) == (422, "invalid-input")


def test_a_database_that_is_away_is_said_to_be(user: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """With when to come back, and nothing of what the database said."""
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://somebody:secret@127.0.0.1:9/none")
    get_settings.cache_clear()
    process.reader().dispose()
    process.reader.cache_clear()
    answer = user.request("GET", "/connections")
    assert (answer.status_code, problem(answer)) == (503, "out-of-order")
    assert int(answer.headers["Retry-After"]) > 0
    assert "secret" not in answer.text
    assert "127.0.0.1" not in answer.text


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_an_idempotency_key_that_is_none_is_refused(user: ApiUser, key: str) -> None:
    """Before anything is done."""
    answer = user.act("get-contact", {"id": "1"}, key=key)
    assert (answer.status_code, problem(answer)) == (400, "bad-key")
