"""The emulator's page and the true content over HTTP."""

import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.random_activity import populate
from emulator.simulation import Simulation
from emulator.web_app import create_app
from emulator.workspace import EmulatedWorkspace


class PageClient:
    """A client of the page's routes, over a workspace of five contacts."""

    def __init__(self, simulation: Simulation, client: FlaskClient) -> None:
        self.simulation = simulation
        self.client = client
        self.user = next(iter(simulation.workspace.users))
        self.company = next(iter(simulation.workspace.companies))

    def get(self, path: str) -> Any:
        response = self.client.get(path)
        assert response.status_code == 200
        return response.json

    def post(self, path: str, body: object) -> TestResponse:
        return self.client.post(path, json=body)

    def topics(self, path: str, body: object) -> list[str]:
        response = self.post(path, body)
        assert response.status_code == 200
        assert self.simulation.sender.wait(5)
        return [entry["topic"] for entry in response.get_json()["told"]]


class Receiver(BaseHTTPRequestHandler):
    """Responds to every notification with a 200."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def target() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/webhooks/intercom"
        server.shutdown()


@pytest.fixture
def page(target: str) -> Iterator[PageClient]:
    workspace = EmulatedWorkspace()
    populate(workspace, contacts=5, companies=3, seed=3)
    with (
        NotificationSender(WebhookTarget(target, "cs_example")) as sender,
        Simulation(workspace, sender, rate=0) as simulation,
    ):
        yield PageClient(simulation, create_app(simulation).test_client())


def test_the_true_content_is_complete(page: PageClient) -> None:
    """Tests read the content of the workspace as JSON."""
    content, true = page.get("/truth/demo0001"), page.simulation.workspace.truth()
    assert content | {"as_of_ms": 0} == true | {"as_of_ms": 0}
    assert 0 <= true["as_of_ms"] - content["as_of_ms"] < 60_000


def test_one_object_is_fetched(page: PageClient) -> None:
    """The status is found or gone, with the time of the result."""
    found = page.get(f"/truth/demo0001/contact/{page.user}")
    assert (found["status"], found["archived"], found["object"]["id"]) == ("found", False, page.user)
    assert isinstance(found["as_of_ms"], int)
    assert page.get(f"/truth/demo0001/company/{page.company}")["object"]["type"] == "company"
    assert page.get("/truth/demo0001/contact/6650a1b2c3d4e5f601234567")["status"] == "gone"
    page.post(f"/page/contact/{page.user}/delete", {})
    assert page.get(f"/truth/demo0001/contact/{page.user}")["status"] == "gone"


@pytest.mark.parametrize("path", ["/truth/other", "/truth/other/contact/1", "/truth/demo0001/admin/1"])
def test_unknown_workspaces_and_types_are_not_found(page: PageClient, path: str) -> None:
    """Another workspace, or another type of object, is a 404."""
    assert page.client.get(path).status_code == 404


def test_a_contact_is_created_on_the_page(page: PageClient) -> None:
    """The form's values are used, the others are random, and the notification is sent and acknowledged."""
    assert page.topics("/page/new/user", {"name": " Mira Lind "}) == ["contact.user.created"]
    state = page.get("/page/state?search=mira%20lind")
    [contact] = state["contacts"]
    assert (contact["name"], contact["role"]) == ("Mira Lind", "user")
    assert contact["email"].endswith(".example")
    assert (state["log"][0]["topic"], state["log"][0]["status"]) == ("contact.user.created", 200)
    assert state["delivery"]["acknowledged"] == 1


def test_a_contact_is_edited_on_the_page(page: PageClient) -> None:
    """A change has a notification, an emptied field becomes null, and no change has no notification."""
    assert page.topics(f"/page/contact/{page.user}", {"name": ""}) == ["contact.user.updated"]
    assert page.get(f"/truth/demo0001/contact/{page.user}")["object"]["name"] is None
    assert page.topics(f"/page/contact/{page.user}", {"name": ""}) == []


def test_a_company_is_created_and_edited_on_the_page(page: PageClient) -> None:
    """Each step has its notification."""
    assert page.topics("/page/new/company", {"name": "Orchard", "size": 12}) == ["company.created"]
    [company] = page.get("/page/state?search=orchard")["companies"]
    assert page.topics(f"/page/company/{company['id']}", {"size": 13}) == ["company.updated"]
    assert page.topics(f"/page/company/{company['id']}/delete", {}) == ["company.deleted"]


def test_every_action_on_a_contact_has_a_notification(page: PageClient) -> None:
    """The actions change tags, companies, consent and the archive."""
    new = page.post("/page/new/lead", {"name": "Lena"})
    assert new.status_code == 200
    lead = page.get("/page/state?search=lena")["contacts"][0]["id"]
    tag = page.get("/page/state")["tags"][0]["id"]
    steps = [
        ("tag", tag, "contact.lead.tag.created"),
        ("untag", tag, "contact.lead.tag.deleted"),
        ("attach", page.company, "company.contact.attached"),
        ("detach", page.company, "company.contact.detached"),
        ("unsubscribe", "", "contact.unsubscribed"),
        ("subscribe", "", "contact.subscribed"),
        ("archive", "", "contact.archived"),
        ("unarchive", "", "contact.unarchived"),
        ("merge", page.user, "contact.merged"),
    ]
    for action, other, topic in steps:
        assert page.topics(f"/page/contact/{lead}/{action}", {"other": other}) == [topic]


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/page/contact/{user}", {"shoe_size": 1}, 409),
        ("/page/contact/{user}", {"name": 5}, 409),
        ("/page/contact/{user}", {"custom_attributes": []}, 409),
        ("/page/contact/{user}/sign_up", {}, 409),
        ("/page/contact/{user}/fly", {}, 409),
        ("/page/contact/none", {"name": "Mira"}, 404),
        ("/page/contact/{user}/tag", {"other": "none"}, 404),
        ("/page/new/visitor", {}, 409),
        ("/page/company/none/delete", {}, 404),
        ("/page/contact/{user}", [], 415),
        ("/control", {"loss": 2}, 409),
        ("/control", {"rate": "fast"}, 409),
        ("/control", {"running": 1}, 409),
        ("/control", {"speed": 1}, 409),
    ],
)
def test_invalid_requests_are_refused(page: PageClient, path: str, body: object, status: int) -> None:
    """The response is a 404, 409 or 415, never a 500, and nothing changes."""
    before = page.simulation.workspace.truth()["contacts"], page.simulation.settings()
    assert page.post(path.format(user=page.user), body).status_code == status
    assert (page.simulation.workspace.truth()["contacts"], page.simulation.settings()) == before


def test_the_faults_can_change_at_any_time(page: PageClient) -> None:
    """With a loss of 1 nothing is sent, and the page shows it."""
    assert page.post("/control", {"loss": 1.0}).get_json()["loss"] == 1.0
    page.topics("/page/new/user", {})
    state = page.get("/page/state")
    assert (state["delivery"]["lost"], state["delivery"]["sent"], state["log"][0]["attempt"]) == (1, 0, 0)


def test_the_random_activity_starts_and_stops(page: PageClient) -> None:
    """A rate and `running` start it; `running` false stops it."""
    page.post("/control", {"rate": 100, "running": True})
    wait_until(lambda: len(page.simulation.sender.sent) >= 5)
    page.post("/control", {"running": False})
    with page.simulation.lock:
        sent = len(page.simulation.sender.sent)
    assert page.simulation.sender.wait(5)
    assert len(page.simulation.sender.sent) - sent <= 5


def wait_until(condition: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(1000):
        if condition():
            return
        done.wait(0.01)
    raise AssertionError("the condition was not met within 10 seconds")


def test_a_ping_is_sent_from_the_page(page: PageClient) -> None:
    """Intercom has the same button."""
    assert page.topics("/page/ping", {}) == ["ping"]


def test_other_sites_are_refused(page: PageClient) -> None:
    """Another host name and a form of another site are refused."""
    assert page.client.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert page.client.post("/page/new/user", data={"name": "Mira"}).status_code == 415
    headers = page.client.get("/").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
