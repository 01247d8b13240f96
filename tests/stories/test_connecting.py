"""A user connects a workspace, sees it, and disconnects it; every failure has an error page."""

import time
from urllib.parse import urlencode

import pytest
import structlog

from intercom_api.errors import NotAuthorizedError
from intercom_api.rate_limit.lanes import Lane
from settings import get_settings
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import Browser, client, forget_process, query, reason, rows, user_token
from webhooks.connect import oauth_state, sessions
from workers.connections import registry
from workers.runtime import process_resources
from workers.runtime.redis_keys import OAUTH_STATE

WORKSPACE = "demo0001"


@pytest.fixture
def browser(site: EmulatedIntercom) -> Browser:
    """A browser in which u-1 is signed in."""
    assert site
    browser = Browser()
    browser.open("u-1")
    return browser


def statuses() -> dict[tuple[str, str], str]:
    found = rows("SELECT user_id, workspace_id, status FROM connected_users")
    return {(user_id, workspace_id): status for user_id, workspace_id, status in found}


def test_a_workspace_is_connected(browser: Browser, site: EmulatedIntercom) -> None:
    """From the application through Intercom's consent page to a working token."""
    assert "No workspace is connected yet" in browser.get("/connect").text
    page = browser.connect()
    assert "is connected." in page.text
    assert site.wakeups == ["sync"]
    assert statuses() == {("u-1", WORKSPACE): "connected"}
    intercom_client = registry.client_of(WORKSPACE, Lane.INTERACTIVE)
    assert intercom_client is not None
    assert intercom_client.me().workspace_id == WORKSPACE
    (view,) = browser.state()
    assert (view["workspace_id"], view["connected"]) == (WORKSPACE, True)


def test_the_region_is_pinned(browser: Browser) -> None:
    """A workspace in Europe is called in Europe from then on, whichever region the user chose."""
    assert query(browser.start("EU"))["redirect_uri"] == "http://127.0.0.1:8000/oauth/callback"
    assert "/eu/oauth" in browser.start("EU")
    browser.connect("demo0002")
    (workspace,) = registry.connected_workspaces()
    assert (workspace.region, workspace.timezone) == ("EU", "Europe/Dublin")
    intercom_client = registry.client_of("demo0002", Lane.INTERACTIVE)
    assert intercom_client is not None
    assert intercom_client._base_url.endswith("/eu")
    assert intercom_client.me().region == "EU"


def test_the_token_in_the_link_does_not_stay_in_the_address(site: EmulatedIntercom) -> None:
    """It is exchanged for a cookie that scripts cannot read, and the browser is redirected."""
    assert site
    token = user_token("u-1")
    answer = Browser().client.get(f"/connect?token={token}", headers={"Host": "127.0.0.1:8000"})
    assert (answer.status_code, answer.location) == (303, "/connect")
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    cookie = answer.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Lax" in cookie
    assert token not in cookie
    assert not any(token.encode() in key for key in client().scan_iter())


def test_over_tls_the_cookie_belongs_to_this_host(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """No other host of a shared domain can set or read it."""
    monkeypatch.setenv("PUBLIC_URL", "https://127.0.0.1:8000")
    get_settings.cache_clear()
    answer = browser.client.get(f"/connect?token={user_token('u-1')}", headers={"Host": "127.0.0.1:8000"})
    assert answer.headers["Set-Cookie"].startswith("__Host-intercom-mirror=")
    assert "Secure" in answer.headers["Set-Cookie"]


@pytest.mark.parametrize("path", ["/connect", "/connect/state", "/connect/disconnect?workspace=x"])
def test_without_a_session_nothing_is_shown(site: EmulatedIntercom, path: str) -> None:
    """The page asks the user to open it from the application."""
    assert site
    answer = Browser().get(path)
    assert (answer.status_code, reason(answer)) == (401, "no_session")


def test_an_invalid_user_token_is_refused(site: EmulatedIntercom) -> None:
    """The page gives the reason."""
    assert site
    answer = Browser().get(f"/connect?token={user_token('u-1', exp=1)}")
    assert (answer.status_code, reason(answer)) == (401, "bad_user_token")
    assert "expired" in answer.text


@pytest.mark.parametrize("path", ["/connect/start", "/connect/disconnect"])
@pytest.mark.parametrize("csrf", ["", "0" * 64, "ü"])
def test_a_form_of_another_site_is_refused(browser: Browser, path: str, csrf: str) -> None:
    """Another site cannot make a user connect or disconnect anything."""
    browser.connect()
    answer = browser.post(path, csrf=csrf, region="US", workspace=WORKSPACE)
    assert (answer.status_code, reason(answer)) == (403, "bad_form")
    assert statuses() == {("u-1", WORKSPACE): "connected"}


def test_a_declined_consent_is_not_an_error(browser: Browser) -> None:
    """Nothing is connected, and the page gives advice in case it was a mistake."""
    answer = browser.get(browser.allow(browser.start(), decision="cancel"))
    assert (answer.status_code, reason(answer)) == (200, "declined")
    assert statuses() == {}


def test_a_used_code_is_refused_by_intercom(browser: Browser) -> None:
    """It was exchanged before, or the client secret is wrong."""
    back = browser.allow(browser.start())
    code = query(back)["code"]
    browser.get(back)
    state = query(browser.start())["state"]
    answer = browser.get(f"/oauth/callback?{urlencode({'code': code, 'state': state})}")
    assert (answer.status_code, reason(answer)) == (400, "code_refused")


def test_a_state_is_valid_once(browser: Browser) -> None:
    """Reloading the return page connects nothing twice."""
    back = browser.allow(browser.start())
    assert reason(browser.get(back)) is None
    again = browser.get(back)
    assert (again.status_code, reason(again)) == (400, "state_used")


@pytest.mark.parametrize(
    "address", ["/oauth/callback", "/oauth/callback?state=&code=x", "/oauth/callback?state=x&code=x"]
)
def test_a_return_with_an_unknown_state_is_refused(browser: Browser, address: str) -> None:
    """A forged link cannot connect the forger's workspace to this user."""
    answer = browser.get(address)
    assert (answer.status_code, reason(answer)) == (400, "state_unknown")


def test_a_state_of_another_browser_or_user_is_refused(browser: Browser) -> None:
    """Neither another user nor the same user in another browser can complete it."""
    for other_user in ("u-2", "u-1"):
        other = Browser()
        other.open(other_user)
        back = browser.allow(browser.start())
        answer = other.get(back)
        assert (answer.status_code, reason(answer)) == (403, "state_foreign")
        assert reason(browser.get(back)) == "state_used"
    assert statuses() == {}


def test_a_state_expires(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """After ten minutes the user must start again."""
    back = browser.allow(browser.start())
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + oauth_state.STATE_SECONDS + 1)
    answer = browser.get(back)
    assert (answer.status_code, reason(answer)) == (400, "state_expired")


def test_a_return_without_a_session_is_refused(browser: Browser) -> None:
    """Without the cookie the user is unknown."""
    answer = Browser().get(browser.allow(browser.start()))
    assert (answer.status_code, reason(answer)) == (401, "no_session_at_return")


def test_a_return_without_code_or_error_is_refused(browser: Browser) -> None:
    """It neither allows nor denies access."""
    state = query(browser.start())["state"]
    assert reason(browser.get(f"/oauth/callback?state={state}")) == "no_code"


def test_an_unreachable_intercom_is_reported(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user waits and tries again; nothing is partly connected."""
    back = browser.allow(browser.start())
    monkeypatch.setenv("INTERCOM_API_URL", "http://127.0.0.1:9")
    get_settings.cache_clear()
    answer = browser.get(back)
    assert (answer.status_code, reason(answer)) == (502, "intercom_away")
    assert statuses() == {}


def test_an_unreachable_redis_is_reported(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an error page instead of a server error."""
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:9")
    get_settings.cache_clear()
    answer = browser.get("/connect")
    assert (answer.status_code, reason(answer)) == (503, "out_of_order")


def test_an_unreachable_database_is_reported(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the same page; the log has the cause."""
    monkeypatch.setenv("DATABASE_URL", "sqlite:////nowhere/mirror.db")
    forget_process()
    with structlog.testing.capture_logs() as lines:
        answer = browser.get("/connect")
    assert (answer.status_code, reason(answer)) == (503, "out_of_order")
    assert [line["event"] for line in lines] == ["unexpected error while connecting", "connecting failed"]


def test_several_users_share_a_workspace(browser: Browser, site: EmulatedIntercom) -> None:
    """Each has their own connection; when the last one disconnects, access is revoked and the workspace frozen."""
    other = Browser()
    other.open("u-2")
    browser.connect()
    other.connect()
    assert len(rows("SELECT 1 FROM connections WHERE token IS NOT NULL")) == 2
    page = browser.post("/connect/disconnect", csrf=browser.csrf(), workspace=WORKSPACE)
    assert "continues to be mirrored" in page.text
    assert registry.client_of(WORKSPACE, Lane.INTERACTIVE) is not None
    assert rows("SELECT frozen_at FROM workspaces") == [(None,)]
    assert site.intercom.access_tokens.workspace_of("dev-token-demo0001") == WORKSPACE
    page = other.post("/connect/disconnect", csrf=other.csrf(), workspace=WORKSPACE)
    assert "revoked at Intercom" in page.text
    assert rows("SELECT frozen_because FROM workspaces WHERE frozen_at IS NOT NULL") == [("user",)]
    assert registry.client_of(WORKSPACE, Lane.INTERACTIVE) is None
    assert registry.connected_workspaces() == []
    assert rows("SELECT 1 FROM connections WHERE token IS NOT NULL") == []
    with pytest.raises(Exception, match="Revoked"):
        site.intercom.access_tokens.workspace_of("dev-token-demo0001")


def test_one_user_has_several_workspaces(browser: Browser) -> None:
    """The user sees all of them, and no connections of other users."""
    browser.connect("demo0001")
    browser.connect("demo0003")
    assert {each["workspace_id"] for each in browser.state()} == {"demo0001", "demo0003"}
    other = Browser()
    other.open("u-2")
    assert other.state() == []
    answer = other.post("/connect/disconnect", csrf=other.csrf(), workspace="demo0001")
    assert (answer.status_code, reason(answer)) == (404, "unknown_connection")


def test_connecting_again_replaces_the_token(browser: Browser, site: EmulatedIntercom) -> None:
    """Also if Intercom revoked the first one, and after disconnecting: the workspace is no longer frozen."""
    site.intercom.switches.forget_tokens = True
    browser.connect()
    (first,) = rows("SELECT fingerprint FROM connections")
    browser.connect()
    site.intercom.switches.forget_tokens = False
    assert rows("SELECT fingerprint FROM connections") != [first]
    intercom_client = registry.client_of(WORKSPACE, Lane.INTERACTIVE)
    assert intercom_client is not None
    assert intercom_client.me().workspace_id == WORKSPACE
    browser.post("/connect/disconnect", csrf=browser.csrf(), workspace=WORKSPACE)
    browser.connect()
    assert rows("SELECT frozen_at FROM workspaces") == [(None,)]
    assert statuses() == {("u-1", WORKSPACE): "connected"}


def test_disconnecting_requires_a_confirmation(browser: Browser) -> None:
    """A page has a question and two buttons."""
    browser.connect()
    page = browser.get(f"/connect/disconnect?workspace={WORKSPACE}")
    assert "Keep it" in page.text
    assert statuses() == {("u-1", WORKSPACE): "connected"}


def test_disconnecting_while_intercom_is_unreachable_is_unsure(
    browser: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The token is deleted here in any case."""
    browser.connect()
    monkeypatch.setenv("INTERCOM_API_URL", "http://127.0.0.1:9")
    get_settings.cache_clear()
    page = browser.post("/connect/disconnect", csrf=browser.csrf(), workspace=WORKSPACE)
    assert "To be sure, remove the app" in page.text
    assert statuses() == {("u-1", WORKSPACE): "disconnected"}


def test_a_revoked_token_ends_only_its_connection(browser: Browser, site: EmulatedIntercom) -> None:
    """After a 401 a worker checks each token; the rows stay and are marked."""
    other = Browser()
    other.open("u-2")
    browser.connect()
    other.connect()
    intercom_client = registry.client_of(WORKSPACE, Lane.INTERACTIVE)
    assert intercom_client is not None
    assert registry.end_refused_connections(WORKSPACE, "token_revoked") is False
    site.intercom.access_tokens.revoke(_token(WORKSPACE))
    with pytest.raises(NotAuthorizedError) as refused:
        intercom_client.me()
    assert registry.end_refused_connections(WORKSPACE, refused.value.code) is False
    assert statuses() == {("u-1", WORKSPACE): "connected", ("u-2", WORKSPACE): "disconnected"}
    site.intercom.access_tokens.revoke_workspace(WORKSPACE)
    assert registry.end_refused_connections(WORKSPACE, "token_revoked") is True
    assert rows("SELECT frozen_because FROM workspaces WHERE frozen_at IS NOT NULL") == [("token_revoked",)]
    (view,) = browser.state()
    assert "no longer accepts our access (token_revoked)" in view["line"]


def _token(workspace_id: str) -> str:
    intercom_client = registry.client_of(workspace_id, Lane.INTERACTIVE)
    assert intercom_client is not None
    return intercom_client._auth._token


def test_a_token_stored_in_another_row_is_not_used(browser: Browser) -> None:
    """If tokens are swapped in the database, neither is usable."""
    browser.connect("demo0001")
    browser.connect("demo0002")
    with process_resources.engine().begin() as connection:
        statement = "UPDATE connections SET token = (SELECT token FROM connections ORDER BY workspace_id LIMIT 1)"
        connection.exec_driver_sql(statement)
    clients = [registry.client_of(each, Lane.INTERACTIVE) for each in ("demo0001", "demo0002")]
    assert sum(each is not None for each in clients) == 1


def test_pages_load_nothing_from_other_origins(browser: Browser) -> None:
    """No inline scripts, no frames, and only Intercom's origin for the form."""
    answer = browser.get("/connect")
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert f"form-action 'self' http://127.0.0.1:{get_settings().emulator_port};" in policy
    assert "frame-ancestors 'none'" in policy
    assert "<script>" not in answer.text
    assert "style=" not in answer.text


def test_a_name_is_never_markup(browser: Browser) -> None:
    """The name of a workspace can be any text."""
    browser.connect()
    with process_resources.engine().begin() as connection:
        connection.exec_driver_sql("UPDATE workspaces SET name = '<b>hostile</b>'")
    assert "&lt;b&gt;hostile" in browser.get("/connect").text


def test_localhost_redirects_to_the_public_address(browser: Browser) -> None:
    """In development, a cookie set for one name would be missing for the other, to which Intercom redirects."""
    answer = browser.client.get("/connect?token=abc", headers={"Host": "localhost:8000"})
    assert (answer.status_code, answer.location) == (303, "http://127.0.0.1:8000/connect?token=abc")


def test_without_keys_connecting_is_not_set_up(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mirror that only receives notifications has an error page for it."""
    monkeypatch.setenv("INTERCOM_CLIENT_ID", "me")
    monkeypatch.setenv("INTERCOM_CLIENT_SECRET", "s")
    get_settings.cache_clear()
    answer = browser.get("/connect")
    assert (answer.status_code, reason(answer)) == (503, "not_set_up")


def test_redis_stores_only_digests_of_states_and_cookies(browser: Browser) -> None:
    """Reading Redis allows neither to use a session nor to complete a connection; all keys expire."""
    state = query(browser.start())["state"]
    cookie = browser.client.get_cookie(sessions.cookie_name()[0], domain="127.0.0.1")
    assert cookie is not None
    stored = {key: client().get(key) for key in client().scan_iter() if client().type(key) == b"string"}
    text = repr(stored)
    assert OAUTH_STATE in text
    assert state not in text
    assert cookie.value not in text
    assert all(0 < int(client().ttl(key)) <= 3600 for key in stored)
