"""Errors under /api have the form of RFC 9457, whichever part they come from."""

import pytest

from settings import get_settings
from tests.stories.api_user import ApiUser, problem
from tests.stories.conftest import EmulatedIntercom
from webhooks.app import create_app
from workers.runtime import process_resources


@pytest.fixture
def user(sqlite_site: EmulatedIntercom) -> ApiUser:
    """A user who is connected to one workspace."""
    assert sqlite_site
    return ApiUser("u-1", "demo0001")


def test_unknown_addresses_and_methods_are_problems(user: ApiUser) -> None:
    """Not Flask's own error pages."""
    missing = user.request("GET", "/nothing-here")
    assert (missing.status_code, problem(missing)) == (404, "not-found")
    wrong = user.request("DELETE", "/connections")
    assert (wrong.status_code, problem(wrong)) == (405, "method-not-allowed")
    assert "GET" in wrong.headers["Allow"]
    assert create_app().test_client().get("/nothing-here").mimetype == "text/html"


def test_an_unknown_action_lists_the_actions(user: ApiUser) -> None:
    """By their names."""
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
def test_a_body_that_is_not_json_is_refused(user: ApiUser, body: bytes) -> None:
    """The problem does not repeat it."""
    answer = user.request("POST", "/actions/get-contact", data=body)
    assert (answer.status_code, problem(answer)) == (400, "no-json")


@pytest.mark.parametrize("body", [b"[]", b'"text"', b"1"])
def test_an_input_that_is_not_an_object_is_refused(user: ApiUser, body: bytes) -> None:
    """The same."""
    answer = user.request("POST", "/actions/get-contact", data=body)
    assert (answer.status_code, problem(answer)) == (422, "invalid-input")


def test_an_unreachable_database_is_a_problem(user: ApiUser, monkeypatch: pytest.MonkeyPatch) -> None:
    """With Retry-After, and without the database's message."""
    monkeypatch.setenv("DATABASE_URL", "postgresql+psycopg://user:secret@127.0.0.1:9/none")
    get_settings.cache_clear()
    process_resources.reader().dispose()
    process_resources.reader.cache_clear()
    answer = user.request("GET", "/connections")
    assert (answer.status_code, problem(answer)) == (503, "out-of-order")
    assert int(answer.headers["Retry-After"]) > 0
    assert "secret" not in answer.text
    assert "127.0.0.1" not in answer.text


@pytest.mark.parametrize("key", ["", "x" * 256, "a\tb"])
def test_an_invalid_idempotency_key_is_refused(user: ApiUser, key: str) -> None:
    """Before the action is performed."""
    answer = user.act("get-contact", {"id": "1"}, key=key)
    assert (answer.status_code, problem(answer)) == (400, "bad-key")
