"""Connecting in a real browser, in desktop and phone width, with the emulator's consent page."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import insert, update
from werkzeug.serving import WSGIRequestHandler, make_server

from emulator.api.intercom_emulator import IntercomEmulator
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.random_activity import populate
from emulator.simulation import Simulation
from emulator.web_app import make_emulator_server
from emulator.workspace import EmulatedWorkspace
from models.db.engine import transaction
from models.tables import internal_tables
from models.tables.sync_tables import sync_runs
from settings import get_settings
from settings.environment import DEVELOPMENT_CLIENT_SECRET
from tests.ports import free_port
from tests.stories.connect_site import client, rows, surroundings, user_token
from webhooks.app import create_app
from workers.connections import registry
from workers.runtime import process_resources
from workers.runtime.redis_keys import SESSION


class _Quiet(WSGIRequestHandler):
    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        pass


@pytest.fixture
def intercom() -> Iterator[tuple[IntercomEmulator, int]]:
    """Intercom with two workspaces, and its port."""
    engines = []
    for workspace_id, region in (("demo0001", "US"), ("demo0002", "EU")):
        workspace = EmulatedWorkspace(workspace_id, region=region)
        populate(workspace, contacts=5, companies=2)
        route = WebhookTarget("http://127.0.0.1:9/webhooks/intercom", DEVELOPMENT_CLIENT_SECRET)
        engines.append(Simulation(workspace, NotificationSender(route), rate=0))
    made = IntercomEmulator(engines)
    server = make_emulator_server(engines[0], 0, made)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield made, server.server_port
    server.shutdown()
    server.server_close()


@pytest.fixture
def page(
    intercom: tuple[IntercomEmulator, int],
    redis_url: str,
    sqlite_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    window: Page,
) -> Iterator[Page]:
    """The page of a user without connections."""
    port = free_port()
    monkeypatch.setattr(registry, "wake_sync", lambda: None)
    with surroundings(
        monkeypatch,
        tmp_path,
        REDIS_URL=redis_url,
        DATABASE_URL=sqlite_url,
        EMULATOR_PORT=str(intercom[1]),
        PORT=str(port),
    ):
        server = make_server("127.0.0.1", port, create_app(), threaded=True, request_handler=_Quiet)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        sign_in(window, "u-1")
        yield window
        window.close()
        server.shutdown()
        server.server_close()


def sign_in(window: Page, user_id: str) -> None:
    window.goto(f"{get_settings().public_url}/connect?token={user_token(user_id)}")


def connect(page: Page, workspace_id: str = "demo0001") -> None:
    page.get_by_role("button", name="Connect Intercom").click()
    page.get_by_label(workspace_id).check()
    page.get_by_role("button", name="Allow").click()
    expect(page.locator(f"[data-workspace={workspace_id}]")).to_be_visible()


def check_error_page(page: Page, reason: str) -> None:
    """Check that an error page is complete, with a headline and advice."""
    expect(page.locator(f"[data-reason={reason}]")).to_be_visible()
    expect(page.locator("h1")).not_to_be_empty()
    expect(page.locator(".advice")).not_to_be_empty()
    assert fits(page)


def fits(page: Page) -> bool:
    return bool(page.evaluate("document.documentElement.scrollWidth <= window.innerWidth"))


def run(**values: object) -> None:
    """Store the progress of the backfill, as its worker does."""
    now = datetime.now(UTC)
    with transaction(process_resources.engine()) as connection:
        if connection.execute(update(sync_runs).values(**values)).rowcount:
            return
        whole = {"workspace_id": "demo0001", "kind": "backfill", "asked_by": "connect", "asked_at": now, "detail": {}}
        connection.execute(insert(sync_runs).values(started_at=now - timedelta(minutes=1), **whole, **values))


def test_a_workspace_is_connected_watched_and_disconnected(page: Page) -> None:
    """The whole path of a user, without reloading the page."""
    expect(page.get_by_text("No workspace is connected yet")).to_be_visible()
    assert "token" not in page.url
    connect(page)
    card = page.locator("[data-workspace=demo0001]")
    expect(page.get_by_role("status")).to_contain_text("is connected.")
    expect(card.locator(".fill")).to_be_hidden()
    run(state="running", seen=1000, expected=4000)
    page.reload()
    expect(card).to_contain_text("1,000 of about 4,000 objects, about 3 minutes left")
    run(seen=3000)
    expect(card).to_contain_text("3,000 of about 4,000")
    expect(card.get_by_role("progressbar")).to_have_attribute("value", "75")
    run(state="done", seen=4123)
    expect(card).to_contain_text("Backfill complete: 4,123 objects")
    assert fits(page)
    card.get_by_role("link", name="Disconnect").click()
    expect(page.locator("h1")).to_contain_text("Disconnect")
    assert fits(page)
    page.get_by_role("link", name="Keep it").click()
    card.get_by_role("link", name="Disconnect").click()
    page.get_by_role("button", name="Disconnect").click()
    expect(page.locator("h1")).to_contain_text("is disconnected")
    assert fits(page)
    page.get_by_role("link", name="Your connections").click()
    expect(card).to_contain_text("You disconnected it")
    expect(card).to_contain_text("not been updated since")
    expect(card.get_by_role("progressbar")).to_be_hidden()
    expect(card.get_by_role("link", name="Disconnect")).to_have_count(0)


def test_several_workspaces_have_a_card_each(page: Page) -> None:
    """Also one in another region, chosen by keyboard only."""
    connect(page)
    page.get_by_label("Where Intercom keeps").select_option("Europe")
    page.get_by_role("button", name="Connect Intercom").focus()
    page.keyboard.press("Enter")
    page.get_by_label("demo0002").check()
    page.get_by_role("button", name="Allow").click()
    expect(page.locator("[data-workspace]")).to_have_count(2)
    expect(page.locator("[data-workspace=demo0002]")).to_contain_text("Europe")
    assert fits(page)


def test_a_removal_in_intercom_appears_on_the_open_page(page: Page) -> None:
    """The page updates by itself."""
    connect(page)
    run(state="running", seen=1, expected=2)
    page.reload()
    with transaction(process_resources.engine()) as connection:
        ended = {"status": "disconnected", "reason": "uninstalled", "disconnected_at": datetime.now(UTC)}
        connection.execute(update(internal_tables.connections).values(**ended))
    expect(page.locator("[data-workspace=demo0001]")).to_contain_text("The app was removed in Intercom")


def test_a_page_shows_that_the_mirror_does_not_respond(page: Page) -> None:
    """What it shows may be out of date."""
    connect(page)
    page.route("**/connect/state", lambda route: route.fulfill(status=200, body="nonsense"))
    expect(page.get_by_role("alert")).to_contain_text("does not respond")
    page.unroute("**/connect/state")


def test_a_declined_consent_has_its_page(page: Page) -> None:
    """It links back to the connections."""
    page.get_by_role("button", name="Connect Intercom").click()
    page.get_by_role("button", name="Cancel").click()
    check_error_page(page, "declined")
    page.get_by_role("link", name="Your connections").click()
    expect(page.get_by_role("button", name="Connect Intercom")).to_be_visible()


def test_every_other_error_has_its_page(page: Page, intercom: tuple[IntercomEmulator, int]) -> None:
    """A reloaded return, a forged link, an unreachable Intercom, a refused code, a form of another site."""
    address = get_settings().public_url
    connect(page)
    page.go_back()
    page.goto(f"{address}/oauth/callback?state=made-up&code=x")
    check_error_page(page, "state_unknown")
    page.get_by_role("link", name="Your connections").click()
    page.evaluate("document.querySelector('[name=csrf]').value = 'x'")
    page.get_by_role("button", name="Connect Intercom").click()
    check_error_page(page, "bad_form")
    page.get_by_role("link", name="Your connections").click()
    page.get_by_role("button", name="Connect Intercom").click()
    intercom[0].access_tokens._client_secrets = ("another",)
    page.get_by_role("button", name="Allow").click()
    check_error_page(page, "code_refused")
    page.reload()
    check_error_page(page, "state_used")
    page.goto(f"{address}/connect/disconnect?workspace=another")
    check_error_page(page, "unknown_connection")


def test_an_unreachable_intercom_has_its_page(page: Page, monkeypatch: pytest.MonkeyPatch) -> None:
    """The user allowed access, but nothing is connected."""
    page.get_by_role("button", name="Connect Intercom").click()
    monkeypatch.setenv("INTERCOM_API_URL", "http://127.0.0.1:9")
    get_settings.cache_clear()
    page.get_by_role("button", name="Allow").click()
    check_error_page(page, "intercom_away")
    assert rows("SELECT 1 FROM connections") == []


def test_a_missing_session_has_its_page(page: Page) -> None:
    """On the return from Intercom, on opening the page again, and with an expired link."""
    page.get_by_role("button", name="Connect Intercom").click()
    for key in client().scan_iter(f"{SESSION}*"):
        client().delete(key)
    page.get_by_role("button", name="Allow").click()
    check_error_page(page, "no_session_at_return")
    page.goto(f"{get_settings().public_url}/connect")
    check_error_page(page, "no_session")
    page.goto(f"{get_settings().public_url}/connect?token={user_token('u-1', exp=1)}")
    check_error_page(page, "bad_user_token")


def test_another_users_return_has_its_page(page: Page) -> None:
    """After signing in as another user, the first user's return is refused."""
    page.get_by_role("button", name="Connect Intercom").click()
    began = page.url
    sign_in(page, "u-2")
    page.goto(began)
    page.get_by_role("button", name="Allow").click()
    check_error_page(page, "state_foreign")
