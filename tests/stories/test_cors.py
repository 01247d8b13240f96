"""CORS: pages of the listed origins may call the API; other origins may not."""

import pytest
from flask.testing import FlaskClient

from settings import get_settings
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import user_token
from webhooks.app import create_app

LISTED = "https://app.example.com"


@pytest.fixture
def client(sqlite_site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    """The application, with one allowed origin."""
    assert sqlite_site
    monkeypatch.setenv("ALLOWED_ORIGINS", LISTED)
    get_settings.cache_clear()
    return create_app().test_client()


def preflight(origin: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "DELETE",
        "Access-Control-Request-Headers": "authorization,idempotency-key",
    }


@pytest.mark.parametrize("path", ["/api/proxy/contacts/1", "/api/actions/create-contact", "/api/connections"])
def test_a_preflight_of_a_listed_origin_is_allowed(client: FlaskClient, path: str) -> None:
    """Every address responds to a preflight without a token, with the required headers."""
    answer = client.options(path, headers=preflight(LISTED))
    assert answer.status_code == 204
    assert answer.headers["Access-Control-Allow-Origin"] == LISTED
    assert "DELETE" in answer.headers["Access-Control-Allow-Methods"]
    allowed = answer.headers["Access-Control-Allow-Headers"].lower().split(", ")
    assert {"authorization", "content-type", "idempotency-key", "x-workspace-id"} <= set(allowed)


@pytest.mark.parametrize(
    "origin",
    [
        "https://app.example.com.evil.example",
        "https://evil-app.example.com",
        "http://app.example.com",
        "null",
        "*",
        "https://app.example.com:8443",
        "https://APP.example.com",
        "",
    ],
)
def test_a_preflight_of_another_origin_is_not_allowed(client: FlaskClient, origin: str) -> None:
    """However similar to a listed one; `Vary` makes caches separate responses by origin."""
    for answer in (
        client.options("/api/connections", headers=preflight(origin)),
        client.get("/api/connections", headers={"Origin": origin, "Authorization": f"Bearer {user_token('u-1')}"}),
        client.get("/sdk.js", headers={"Origin": origin}),
    ):
        assert [name for name in dict(answer.headers) if name.startswith("Access-Control")] == []
        assert "Origin" in answer.headers["Vary"]


def test_responses_and_problems_can_be_read(client: FlaskClient) -> None:
    """Also a problem and an unknown address; cookies are never allowed."""
    for path in ("/api/connections", "/api/nothing", "/sdk.js", "/sdk.d.ts"):
        answer = client.get(path, headers={"Origin": LISTED})
        assert answer.headers["Access-Control-Allow-Origin"] == LISTED
        assert "Retry-After" in answer.headers["Access-Control-Expose-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers


def test_the_connect_pages_are_not_shared(client: FlaskClient) -> None:
    """They use a cookie, so no page of another origin may read them."""
    answer = client.get("/connect/state", headers={"Origin": LISTED})
    assert "Access-Control-Allow-Origin" not in answer.headers
