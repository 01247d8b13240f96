"""Uninstall notices, and the tokens of the settings: a connection ends only after a check with Intercom."""

import json
from typing import Any

import pytest
from click.testing import CliRunner
from flask.testing import FlaskClient

from cli.main import main
from intercom_api.rate_limit.lanes import Lane
from intercom_api.wire.signatures import sign, sign_body
from settings import get_settings
from settings.environment import DEVELOPMENT_CLIENT_SECRET
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import client, rows
from webhooks.app import create_app
from workers.connections import registry, token_checks
from workers.connections.upkeep import maintain_connections
from workers.runtime import process_resources
from workers.runtime.redis_keys import TOKEN_CHECKS

PATH = "/webhooks/intercom/uninstall"
BODY = json.dumps({"app_id": "demo0001"}).encode()


@pytest.fixture
def web(site: EmulatedIntercom) -> FlaskClient:
    """A client of the web application; the demo workspace is connected with its token of the settings."""
    assert site
    maintain_connections()
    assert statuses() == {"demo": "connected"}
    return create_app().test_client()


def statuses() -> dict[str, str]:
    return dict(rows("SELECT user_id, status FROM connected_users"))


def signed(body: bytes) -> dict[str, str]:
    return {"X-Body-Signature": sign_body(body, DEVELOPMENT_CLIENT_SECRET)}


def test_a_removed_app_ends_the_connection(web: FlaskClient, site: EmulatedIntercom) -> None:
    """The notice is stored and gets its 200; then the token is checked, and Intercom refuses it."""
    site.intercom.access_tokens.revoke_workspace("demo0001")
    response = web.post(PATH, data=BODY, headers=signed(BODY))
    assert (response.status_code, response.data) == (200, b"")
    assert statuses() == {"demo": "connected"}
    maintain_connections()
    assert statuses() == {"demo": "disconnected"}
    assert rows("SELECT frozen_because FROM workspaces WHERE frozen_at IS NOT NULL") == [("uninstalled",)]
    assert client().zcard(TOKEN_CHECKS) == 0


def test_a_notice_about_a_valid_token_changes_nothing(web: FlaskClient) -> None:
    """It may be late, or about an earlier token."""
    assert web.post(PATH, data=BODY, headers=signed(BODY)).status_code == 200
    maintain_connections()
    assert statuses() == {"demo": "connected"}
    assert client().zcard(TOKEN_CHECKS) == 0


def test_the_other_signature_is_accepted_too(web: FlaskClient) -> None:
    """Intercom's documentation does not say which one is sent."""
    headers = {"X-Hub-Signature": sign(BODY, DEVELOPMENT_CLIENT_SECRET)}
    assert web.post(PATH, data=BODY, headers=headers).status_code == 200
    assert client().zcard(TOKEN_CHECKS) == 1


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-Body-Signature": "0" * 64},
        {"X-Body-Signature": ""},
        {"X-Body-Signature": "sha256=" + sign_body(BODY, DEVELOPMENT_CLIENT_SECRET)},
        {"X-Body-Signature": sign_body(BODY, "another")},
        {"X-Body-Signature": "é", "X-Hub-Signature": sign(BODY, DEVELOPMENT_CLIENT_SECRET)},
        {"X-Hub-Signature": "sha1=" + "0" * 40},
    ],
)
def test_a_notice_that_intercom_did_not_sign_is_refused(web: FlaskClient, headers: dict[str, str]) -> None:
    """A forged notice would cause needless calls to Intercom."""
    assert web.post(PATH, data=BODY, headers=headers).status_code == 401
    assert client().zcard(TOKEN_CHECKS) == 0


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"app_id": 7}', b'{"app_id": ""}', b'{"app_id": "\\n"}', b"\xff"])
def test_a_signed_notice_without_a_workspace_is_accepted(web: FlaskClient, body: bytes) -> None:
    """With an error, Intercom would only send it again."""
    assert web.post(PATH, data=body, headers=signed(body)).status_code == 200
    assert client().zcard(TOKEN_CHECKS) == 0


def test_the_address_responds_to_intercoms_check(web: FlaskClient) -> None:
    """Intercom sends HEAD when an address is saved; a body that is too long is refused unread."""
    assert web.head(PATH).status_code == 200
    assert web.post(PATH, data=b"x" * 20_000).status_code == 413


def test_nothing_is_acknowledged_while_redis_is_unavailable(web: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The response contains when to try again."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9")
    get_settings.cache_clear()
    response = web.post(PATH, data=BODY, headers=signed(BODY))
    assert (response.status_code, "Retry-After" in response.headers) == (503, True)


def test_a_check_waits_until_intercom_is_available(
    web: FlaskClient, site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Meanwhile no connection ends, and the request for the check stays."""
    site.intercom.access_tokens.revoke_workspace("demo0001")
    web.post(PATH, data=BODY, headers=signed(BODY))
    monkeypatch.setenv("INTERCOM_API_URL", "http://127.0.0.1:9")
    get_settings.cache_clear()
    maintain_connections()
    monkeypatch.delenv("INTERCOM_API_URL")
    get_settings.cache_clear()
    assert statuses() == {"demo": "connected"}
    assert client().zcard(TOKEN_CHECKS) == 1
    maintain_connections()
    assert statuses() == {"demo": "disconnected"}


def test_a_request_that_is_made_during_its_check_stays(site: EmulatedIntercom) -> None:
    """The check may have been too early for it."""
    assert site
    token_checks.request_check(client(), "demo0001", "uninstalled")

    def check(workspace_id: str, reason: str) -> None:
        client().zadd(TOKEN_CHECKS, {f"{reason}:{workspace_id}": 9_000_000_000_000})

    assert token_checks.run_checks(client(), check) == 1
    assert client().zcard(TOKEN_CHECKS) == 1
    assert token_checks.run_checks(client(), lambda *_: None) == 1
    assert client().zcard(TOKEN_CHECKS) == 0


def test_a_check_that_fails_keeps_the_request(site: EmulatedIntercom) -> None:
    """A worker may crash during the check."""
    assert site
    token_checks.request_check(client(), "demo0001", "uninstalled")

    def crash(*_: Any) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        token_checks.run_checks(client(), crash)
    assert client().zcard(TOKEN_CHECKS) == 1


def test_a_private_apps_token_is_connected_at_start(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """As user `default`, in any region, and once."""
    assert site
    monkeypatch.setenv("INTERCOM_ACCESS_TOKEN", "dev-token-demo0002")
    get_settings.cache_clear()
    maintain_connections()
    found = "SELECT user_id, workspace_id, region FROM connected_users ORDER BY 1"
    assert rows(found) == [("default", "demo0002", "EU"), ("demo", "demo0001", "US")]
    before = rows("SELECT user_id, connected_at FROM connections ORDER BY 1")
    maintain_connections()
    assert rows("SELECT user_id, connected_at FROM connections ORDER BY 1") == before


def test_a_token_of_the_settings_is_not_connected_again_after_a_disconnect(
    web: FlaskClient, site: EmulatedIntercom
) -> None:
    """Even though Intercom would accept the token."""
    assert web
    assert registry.disconnect_user("demo", "demo0001") == "revoked"
    site.intercom.access_tokens.restore("dev-token-demo0001")
    maintain_connections()
    assert statuses() == {"demo": "disconnected"}
    assert registry.client_of("demo0001", Lane.INTERACTIVE) is None


def test_a_refused_token_of_the_settings_is_tried_again_later(site: EmulatedIntercom) -> None:
    """The log has one line, not one every few seconds; once Intercom accepts the token, it is connected."""
    site.intercom.access_tokens.revoke("dev-token-demo0001")
    maintain_connections()
    maintain_connections()
    assert rows("SELECT 1 FROM connections") == []
    site.intercom.access_tokens.restore("dev-token-demo0001")
    (key,) = client().keys("intercom-mirror:given-token:*")
    assert 0 < int(client().ttl(key)) <= 600
    client().delete(key)
    maintain_connections()
    assert statuses() == {"demo": "connected"}


def test_status_shows_which_workspace_is_frozen(web: FlaskClient) -> None:
    """It explains why nothing changes in that workspace."""
    assert web
    with process_resources.engine().begin() as connection:
        connection.exec_driver_sql("INSERT INTO sync_marks (workspace_id, object_type) VALUES ('demo0001', 'contact')")
    assert "frozen" not in CliRunner().invoke(main, ["status"]).output
    registry.disconnect_user("demo", "demo0001")
    assert "demo0001 (frozen)" in CliRunner().invoke(main, ["status"]).output
    status = json.loads(CliRunner().invoke(main, ["status", "--json"]).output)
    assert status["objects"][0]["frozen_at"].startswith("20")
