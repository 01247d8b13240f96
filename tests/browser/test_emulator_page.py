"""The emulator's page in a real browser, at desktop and phone width."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.sync_api import Page, expect

from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.random_activity import populate
from emulator.simulation import Simulation
from emulator.web_app import make_emulator_server
from emulator.workspace import EmulatedWorkspace


class Receiver(BaseHTTPRequestHandler):
    """Responds to every notification with a 200."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def simulation() -> Iterator[Simulation]:
    """A workspace of twenty contacts without random activity, and a receiver."""
    workspace = EmulatedWorkspace()
    populate(workspace, contacts=20, companies=16)
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as receiver:
        threading.Thread(target=receiver.serve_forever, args=(0.01,), daemon=True).start()
        target = WebhookTarget(f"http://127.0.0.1:{receiver.server_port}/", "cs_example")
        with NotificationSender(target) as sender, Simulation(workspace, sender, rate=0) as simulation:
            yield simulation
        receiver.shutdown()


@pytest.fixture
def page(simulation: Simulation, window: Page) -> Iterator[Page]:
    """The emulator's page in a browser window."""
    server = make_emulator_server(simulation, 0)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    window.goto(f"http://127.0.0.1:{server.server_port}/")
    expect(window.locator("#rows .row").first).to_be_visible()
    yield window
    window.close()
    server.shutdown()
    server.server_close()


def create(page: Page, kind: str, name: str) -> None:
    page.get_by_role("button", name=f"+ {kind}").click()
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("dialog")).not_to_be_visible()
    if kind != "Company":
        # Companies have a tab of their own.
        expect(page.locator("#rows")).to_contain_text(name)


def test_the_page_fits_its_window(page: Page) -> None:
    """The page does not scroll horizontally."""
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_new_contact_appears_with_its_notification(page: Page) -> None:
    """The new contact is the first row, and the log shows its notification and the response."""
    create(page, "User", "Mira Lind")
    expect(page.locator("#rows .row").first).to_contain_text("Mira Lind")
    first = page.locator("#log > li").first
    expect(first).to_contain_text("contact.user.created")
    expect(first).to_contain_text("200")


def test_names_are_never_markup(page: Page) -> None:
    """A name that looks like HTML is shown as text."""
    hostile = "<img src=x onerror=alert(1)>"
    create(page, "Lead", hostile)
    expect(page.locator("#rows .row").first).to_contain_text(hostile)
    expect(page.locator("#log > li").first).to_contain_text(hostile)
    expect(page.locator("main img")).to_have_count(0)


def test_a_contact_is_edited(page: Page, simulation: Simulation) -> None:
    """A changed field and an added tag each have a notification."""
    create(page, "User", "Mira Lind")
    page.locator("#rows .row").filter(has_text="Mira Lind").first.click()
    page.get_by_label("Tags").select_option(label="vip")
    expect(page.get_by_role("button", name="Remove vip")).to_be_visible()
    page.get_by_label("Phone").fill("+12025550142")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#log > li").first).to_contain_text("contact.user.updated")
    expect(page.locator("#log > li").nth(1)).to_contain_text("contact.user.tag.created")
    assert next(reversed(simulation.workspace.contacts.values())).values["phone"] == "+12025550142"


def test_the_dialog_shows_an_error(page: Page) -> None:
    """Attributes that are not JSON keep the dialog open with an error message."""
    page.locator("#rows .row").first.click()
    page.get_by_label("Custom attributes").fill("{seats}")
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#editor-error")).to_contain_text("JSON object")
    expect(page.locator("dialog")).to_be_visible()


def test_a_contact_is_deleted_after_confirmation(page: Page) -> None:
    """After the confirmation the row disappears and there is a notification."""
    create(page, "User", "Mira Lind")
    page.on("dialog", lambda dialog: dialog.accept())
    page.locator("#rows .row").filter(has_text="Mira Lind").first.click()
    page.get_by_role("button", name="Delete").click()
    expect(page.locator("#log > li").first).to_contain_text("contact.deleted")
    expect(page.locator("#rows")).not_to_contain_text("Mira Lind")


def test_companies_have_a_tab(page: Page) -> None:
    """A new company appears on the tab, and the search finds it."""
    create(page, "Company", "Orchard Twelve")
    page.get_by_role("tab", name="Companies").click()
    expect(page.locator("#rows .row").first).to_contain_text("Orchard Twelve")
    page.get_by_label("Search").fill("twelve")
    expect(page.locator("#rows .row")).to_have_count(1)


def test_the_random_activity_is_switched_on_and_off(page: Page, simulation: Simulation) -> None:
    """The switch starts and stops it."""
    switch = page.get_by_role("switch", name="Random activity")
    expect(switch).to_have_attribute("aria-checked", "false")
    page.get_by_label("Speed").fill("20")
    switch.click()
    expect(page.locator("#log > li").nth(2)).to_be_visible()
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert simulation.running is False


def test_an_unavailable_emulator_is_reported(page: Page, simulation: Simulation) -> None:
    """When the state cannot be read the page shows an error."""
    page.route("**/page/state*", lambda route: route.fulfill(status=200, body="nonsense"))
    expect(page.locator("#notice")).to_contain_text("does not respond")
    assert simulation.workspace.contacts
