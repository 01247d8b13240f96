"""An app is removed in Intercom, a token stands in the settings: nothing is lost, and nothing believed blindly."""

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
from workers.runtime import process
from workers.runtime.redis_keys import TOKEN_CHECKS

PATH = "/webhooks/intercom/uninstall"
BODY = json.dumps({"app_id": "demo0001"}).encode()


@pytest.fixture
def web(site: EmulatedIntercom) -> FlaskClient:
    """Our addresses, with the demo connected by its token of the settings."""
    assert site
    maintain_connections()
    assert statuses() == {"demo": "connected"}
    return create_app().test_client()


def statuses() -> dict[str, str]:
    return dict(rows("SELECT user_id, status FROM connected_users"))


def signed(body: bytes) -> dict[str, str]:
    return {"X-Body-Signature": sign_body(body, DEVELOPMENT_CLIENT_SECRET)}


def test_a_removed_app_ends_the_connection(web: FlaskClient, site: EmulatedIntercom) -> None:
    """The notice is written down and answered; then the token is looked at, and found dead."""
    site.intercom.access_tokens.revoke_workspace("demo0001")
    answer = web.post(PATH, data=BODY, headers=signed(BODY))
    assert (answer.status_code, answer.data) == (200, b"")
    assert statuses() == {"demo": "connected"}
    maintain_connections()
    assert statuses() == {"demo": "disconnected"}
    assert rows("SELECT frozen_because FROM workspaces WHERE frozen_at IS NOT NULL") == [("uninstalled",)]
    assert client().zcard(TOKEN_CHECKS) == 0


def test_a_notice_about_a_living_token_changes_nothing(web: FlaskClient) -> None:
    """It may be late, or about an earlier token."""
    assert web.post(PATH, data=BODY, headers=signed(BODY)).status_code == 200
    maintain_connections()
    assert statuses() == {"demo": "connected"}
    assert client().zcard(TOKEN_CHECKS) == 0


def test_the_other_signature_is_taken_too(web: FlaskClient) -> None:
    """Nobody has said for certain which one is sent."""
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
def test_a_notice_that_is_not_intercoms_is_refused(web: FlaskClient, headers: dict[str, str]) -> None:
    """Whoever could forge it could have us ask Intercom again and again."""
    assert web.post(PATH, data=BODY, headers=headers).status_code == 401
    assert client().zcard(TOKEN_CHECKS) == 0


@pytest.mark.parametrize("body", [b"{}", b"[]", b'{"app_id": 7}', b'{"app_id": ""}', b'{"app_id": "\\n"}', b"\xff"])
def test_a_signed_notice_that_names_nothing_is_taken(web: FlaskClient, body: bytes) -> None:
    """An error would only bring it back."""
    assert web.post(PATH, data=body, headers=signed(body)).status_code == 200
    assert client().zcard(TOKEN_CHECKS) == 0


def test_the_address_answers_intercoms_question(web: FlaskClient) -> None:
    """HEAD is asked when an address is saved; a body that is too long is refused unread."""
    assert web.head(PATH).status_code == 200
    assert web.post(PATH, data=b"x" * 20_000).status_code == 413


def test_nothing_is_acknowledged_while_redis_is_away(web: FlaskClient, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sender hears that it should come back."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9")
    get_settings.cache_clear()
    answer = web.post(PATH, data=BODY, headers=signed(BODY))
    assert (answer.status_code, "Retry-After" in answer.headers) == (503, True)


def test_a_doubt_waits_until_intercom_answers(
    web: FlaskClient, site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Intercom is away nobody is disconnected, and the question is not forgotten."""
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


def test_a_doubt_that_comes_up_while_somebody_looks_stays(site: EmulatedIntercom) -> None:
    """The look may have come too early for it."""
    assert site
    token_checks.request_check(client(), "demo0001", "uninstalled")

    def look(workspace_id: str, reason: str) -> None:
        client().zadd(TOKEN_CHECKS, {f"{reason}:{workspace_id}": 9_000_000_000_000})

    assert token_checks.run_checks(client(), look) == 1
    assert client().zcard(TOKEN_CHECKS) == 1
    assert token_checks.run_checks(client(), lambda *_: None) == 1
    assert client().zcard(TOKEN_CHECKS) == 0


def test_a_look_that_fails_keeps_the_doubt(site: EmulatedIntercom) -> None:
    """A worker may die in the middle of it."""
    assert site
    token_checks.request_check(client(), "demo0001", "uninstalled")

    def die(*_: Any) -> None:
        raise RuntimeError

    with pytest.raises(RuntimeError):
        token_checks.run_checks(client(), die)
    assert client().zcard(TOKEN_CHECKS) == 1


def test_a_private_apps_token_is_connected_at_start(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:
    """As user `default`, in whatever region its workspace is, and once."""
    assert site
    monkeypatch.setenv("INTERCOM_ACCESS_TOKEN", "dev-token-demo0002")
    get_settings.cache_clear()
    maintain_connections()
    found = "SELECT user_id, workspace_id, region FROM connected_users ORDER BY 1"
    assert rows(found) == [("default", "demo0002", "EU"), ("demo", "demo0001", "US")]
    before = rows("SELECT user_id, connected_at FROM connections ORDER BY 1")
    maintain_connections()
    assert rows("SELECT user_id, connected_at FROM connections ORDER BY 1") == before


def test_a_token_of_the_settings_is_not_connected_behind_its_users_back(
    web: FlaskClient, site: EmulatedIntercom
) -> None:
    """Who disconnected stays disconnected, also where Intercom would take the token."""
    assert web
    assert registry.disconnect_user("demo", "demo0001") == "revoked"
    site.intercom.access_tokens.restore("dev-token-demo0001")
    maintain_connections()
    assert statuses() == {"demo": "disconnected"}
    assert registry.client_of("demo0001", Lane.INTERACTIVE) is None


def test_a_refused_token_of_the_settings_is_tried_again_later(site: EmulatedIntercom) -> None:
    """One line in the log, and not one every few seconds; once it is mended, it is connected."""
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


def test_status_says_which_workspace_stands_still(web: FlaskClient) -> None:
    """Whoever wonders why nothing changes need not look further."""
    assert web
    with process.engine().begin() as connection:
        connection.exec_driver_sql("INSERT INTO sync_marks (workspace_id, object_type) VALUES ('demo0001', 'contact')")
    assert "frozen" not in CliRunner().invoke(main, ["status"]).output
    registry.disconnect_user("demo", "demo0001")
    assert "demo0001 (frozen)" in CliRunner().invoke(main, ["status"]).output
    told = json.loads(CliRunner().invoke(main, ["status", "--json"]).output)
    assert told["objects"][0]["frozen_at"].startswith("20")
