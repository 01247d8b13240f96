"""The browser SDK in a real browser, in a page of another origin than the mirror's."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect
from werkzeug.serving import make_server

from emulator.api.workspace_routes import admins
from settings import get_settings
from tests.browser.test_connect_page import _Quiet, intercom  # noqa: F401 -- a fixture
from tests.ports import free_port
from tests.stories.connect_site import rows, surroundings, user_token
from webhooks.api.openapi import operations
from webhooks.app import create_app
from workers.connections import registry

# The application's page. Tests call its functions; connecting needs a click, because browsers block other windows.
_PAGE = """<!doctype html><title>An application</title><link rel="icon" href="data:,"><button>Connect</button>
<p role="status"></p><script type="module">
  import * as mirror from "{mirror}/sdk.js";
  window.mirror = mirror;
  mirror.authenticate(async () => "{token}");
  const status = document.querySelector("[role=status]");
  document.querySelector("button").onclick = () =>
    mirror.connect().then(
      (found) => status.textContent = `${{found.workspace_id}} ${{found.status}}`,
      (error) => status.textContent = error.type,
    );
</script>"""

# An admin of the emulated workspace.
OWNER = int(next(iter(admins())))

# A contact with all fields of the example.
_EXAMPLE = """() => mirror.request("/contacts", {
  method: "POST",
  body: {
    role: "user",
    external_id: "u-4711",
    email: "ada@example.com",
    phone: "+353871234567",
    name: "Ada Lovelace",
    avatar: "https://example.com/ada.png",
    last_seen_at: 1571672154,
    signed_up_at: 1571672158,
    owner_id: OWNER,
    unsubscribed_from_emails: false,
    custom_attributes: CUSTOM,
  },
})"""


class _Application(BaseHTTPRequestHandler):
    page = ""

    def do_GET(self) -> None:
        body = self.page.encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def application() -> Iterator[str]:
    """Serve the application's page; returns its origin."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Application)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def servers(intercom: Any, redis_url: str, sqlite_url: str) -> dict[str, str]:  # noqa: F811 -- the fixture
    """Run the servers that the mirror needs; returns the settings for them."""
    return {"REDIS_URL": redis_url, "DATABASE_URL": sqlite_url, "EMULATOR_PORT": str(intercom[1])}


@pytest.fixture
def page(
    application: str,
    servers: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    window: Page,
) -> Iterator[Page]:
    """The application's page, with a signed-in user without connections."""
    port = free_port()
    monkeypatch.setattr(registry, "wake_sync", lambda: None)
    with surroundings(
        monkeypatch,
        tmp_path,
        **servers,
        PORT=str(port),
        ALLOWED_ORIGINS=f"https://app.example.com,{application}",
    ):
        server = make_server("127.0.0.1", port, create_app(), threaded=True, request_handler=_Quiet)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        _Application.page = _PAGE.format(mirror=get_settings().public_url, token=user_token("u-1"))
        window.goto(application)
        window.wait_for_function("window.mirror !== undefined")
        yield window
        window.close()
        server.shutdown()
        server.server_close()


def connect(page: Page) -> None:
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Connect").click()
    window = opened.value
    window.get_by_role("button", name="Connect Intercom").click()
    window.get_by_label("demo0001").check()
    window.get_by_role("button", name="Allow").click()
    expect(page.get_by_role("status")).to_have_text("demo0001 connected")
    assert window.is_closed()


def failure(page: Page, call: str) -> dict[str, Any]:
    """Return the problem of a failing call."""
    found: dict[str, Any] = page.evaluate(
        f"async () => {{ try {{ await {call}; }} catch (error) {{ return error.problem; }} }}"
    )
    return found


def test_a_page_of_another_origin_connects_and_creates_the_example_contact(page: Page) -> None:
    """Connected in a window, created through the proxy, found by an action, and in the tables at once."""
    assert page.evaluate("() => mirror.connection()") is None
    connect(page)
    assert page.evaluate("() => mirror.connection()")["workspace_id"] == "demo0001"
    created = page.evaluate(_EXAMPLE.replace("OWNER", str(OWNER)).replace("CUSTOM", '{ plan_tier: "pro" }'))
    assert (created["email"], created["external_id"], created["last_seen_at"]) == (
        "ada@example.com",
        "u-4711",
        1571672154,
    )
    assert rows("SELECT name, phone FROM contacts WHERE id = :id", id=created["id"]) == [
        ("Ada Lovelace", "+353871234567")
    ]
    found = page.evaluate("(id) => mirror.action('get-contact', { id })", created["id"])
    assert found["contact"]["email"] == "ada@example.com"


def test_an_action_is_done_once_for_its_key(page: Page) -> None:
    """The key reaches the mirror from another origin too."""
    connect(page)
    create = "() => mirror.action('create-contact', { role: 'user', email: 'b@example.com' }, { idempotencyKey: 'k' })"
    assert page.evaluate(create) == page.evaluate(create)


def test_every_failure_is_a_problem(page: Page) -> None:
    """Errors of the mirror, of Intercom and of the SDK itself have the same form."""
    unconnected = failure(page, "mirror.request('/contacts')")
    assert (unconnected["status"], unconnected["type"]) == (409, "urn:intercom-mirror:problem:not-connected")
    assert failure(page, "mirror.request('/../actions/x')")["type"].endswith(":bad-path")
    connect(page)
    missing = failure(page, "mirror.request('/contacts/none')")
    assert (missing["status"], missing["type"]) == (404, "urn:intercom-mirror:problem:rejected")
    assert missing["detail"]
    wrong = failure(page, "mirror.action('create-contact', { role: 'king' })")
    assert (wrong["status"], wrong["mistakes"][0]["field"]) == (422, "role")
    page.evaluate("() => mirror.authenticate('no token')")
    assert failure(page, "mirror.connection()")["status"] == 401


def test_a_closed_window_ends_connect(page: Page) -> None:
    """The page does not wait for a user who closed it."""
    with page.expect_popup() as opened:
        page.get_by_role("button", name="Connect").click()
    expect(opened.value.get_by_role("button", name="Connect Intercom")).to_be_visible()
    opened.value.close()
    expect(page.get_by_role("status")).to_have_text("urn:intercom-mirror:problem:not-connected")


def test_the_documentation_page_names_every_action(page: Page) -> None:
    """It fits its window, and everything it loads exists."""
    page.goto(f"{get_settings().public_url}/docs")
    expect(page.get_by_role("heading", name="Create a contact")).to_be_visible()
    expect(page.locator("section")).to_have_count(len(operations()))
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
