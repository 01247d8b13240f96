"""The emulator's page and the truth over HTTP."""

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


class Page:
    """The page's API over a workspace of five contacts, sending to a receiver that keeps the bodies."""

    def __init__(self, engine: Simulation, client: FlaskClient) -> None:
        self.engine = engine
        self.client = client
        self.user = next(iter(engine.workspace.users))
        self.company = next(iter(engine.workspace.companies))

    def get(self, path: str) -> Any:
        answer = self.client.get(path)
        assert answer.status_code == 200
        return answer.json

    def post(self, path: str, body: object) -> TestResponse:
        return self.client.post(path, json=body)

    def told(self, path: str, body: object) -> list[str]:
        answer = self.post(path, body)
        assert answer.status_code == 200
        assert self.engine.sender.wait(5)
        return [entry["topic"] for entry in answer.get_json()["told"]]


class Receiver(BaseHTTPRequestHandler):
    """Answers 200 to everything."""

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
def page(target: str) -> Iterator[Page]:
    workspace = EmulatedWorkspace()
    populate(workspace, contacts=5, companies=3, seed=3)
    with (
        NotificationSender(WebhookTarget(target, "cs_example")) as sender,
        Simulation(workspace, sender, rate=0) as engine,
    ):
        yield Page(engine, create_app(engine).test_client())


def test_the_truth_is_stated_whole(page: Page) -> None:
    """Others read the final content of the workspace as JSON."""
    stated, true = page.get("/truth/demo0001"), page.engine.workspace.truth()
    assert stated | {"as_of_ms": 0} == true | {"as_of_ms": 0}
    assert 0 <= true["as_of_ms"] - stated["as_of_ms"] < 60_000


def test_one_object_is_fetched_as_it_is(page: Page) -> None:
    """Found, merged and gone are told apart, with the time as of which that is so."""
    found = page.get(f"/truth/demo0001/contact/{page.user}")
    assert (found["status"], found["archived"], found["object"]["id"]) == ("found", False, page.user)
    assert isinstance(found["as_of_ms"], int)
    assert page.get(f"/truth/demo0001/company/{page.company}")["object"]["type"] == "company"
    assert page.get("/truth/demo0001/contact/6650a1b2c3d4e5f601234567")["status"] == "gone"
    page.post(f"/page/contact/{page.user}/delete", {})
    assert page.get(f"/truth/demo0001/contact/{page.user}")["status"] == "gone"


@pytest.mark.parametrize("path", ["/truth/other", "/truth/other/contact/1", "/truth/demo0001/admin/1"])
def test_the_truth_knows_one_workspace(page: Page, path: str) -> None:
    """Another workspace, or another kind of object, is not found."""
    assert page.client.get(path).status_code == 404


def test_a_contact_is_created_by_hand(page: Page) -> None:
    """What the form says is taken, the rest is invented, and the notification is sent and answered."""
    assert page.told("/page/new/user", {"name": " Mira Lind "}) == ["contact.user.created"]
    state = page.get("/page/state?search=mira%20lind")
    [contact] = state["contacts"]
    assert (contact["name"], contact["role"]) == ("Mira Lind", "user")
    assert contact["email"].endswith(".example")
    assert (state["log"][0]["topic"], state["log"][0]["status"]) == ("contact.user.created", 200)
    assert state["delivery"]["acknowledged"] == 1


def test_a_contact_is_edited_by_hand(page: Page) -> None:
    """Changed fields are told, an emptied one becomes null, and unchanged ones are not told."""
    assert page.told(f"/page/contact/{page.user}", {"name": ""}) == ["contact.user.updated"]
    assert page.get(f"/truth/demo0001/contact/{page.user}")["object"]["name"] is None
    assert page.told(f"/page/contact/{page.user}", {"name": ""}) == []


def test_a_company_is_created_and_edited_by_hand(page: Page) -> None:
    """Companies too."""
    assert page.told("/page/new/company", {"name": "Orchard", "size": 12}) == ["company.created"]
    [company] = page.get("/page/state?search=orchard")["companies"]
    assert page.told(f"/page/company/{company['id']}", {"size": 13}) == ["company.updated"]
    assert page.told(f"/page/company/{company['id']}/delete", {}) == ["company.deleted"]


def test_every_action_on_a_contact_is_told(page: Page) -> None:
    """Tags, companies, consent and the archive can be changed by hand."""
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
        assert page.told(f"/page/contact/{lead}/{action}", {"other": other}) == [topic]


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
def test_mistakes_are_refused_in_words(page: Page, path: str, body: object, status: int) -> None:
    """A mistake is answered by 404, 409 or 415, changes nothing and is never a 500."""
    before = page.engine.workspace.truth()["contacts"], page.engine.settings()
    assert page.post(path.format(user=page.user), body).status_code == status
    assert (page.engine.workspace.truth()["contacts"], page.engine.settings()) == before


def test_the_weather_is_changed_while_it_runs(page: Page) -> None:
    """With everything lost, nothing is sent, and the page says so."""
    assert page.post("/control", {"loss": 1.0}).get_json()["loss"] == 1.0
    page.told("/page/new/user", {})
    state = page.get("/page/state")
    assert (state["delivery"]["lost"], state["delivery"]["sent"], state["log"][0]["attempt"]) == (1, 0, 0)


def test_everyday_life_is_started_and_stopped(page: Page) -> None:
    """A rate and `running` set it going; setting `running` to false stops it."""
    page.post("/control", {"rate": 100, "running": True})
    wait_until(lambda: len(page.engine.sender.sent) >= 5)
    page.post("/control", {"running": False})
    with page.engine.lock:
        sent = len(page.engine.sender.sent)
    assert page.engine.sender.wait(5)
    assert len(page.engine.sender.sent) - sent <= 5


def wait_until(true: Callable[[], bool]) -> None:
    done = threading.Event()
    for _ in range(1000):
        if true():
            return
        done.wait(0.01)
    raise AssertionError("it did not happen within 10 seconds")


def test_a_ping_is_sent_by_hand(page: Page) -> None:
    """The button that Intercom has too."""
    assert page.told("/page/ping", {}) == ["ping"]


def test_other_sites_are_kept_out(page: Page) -> None:
    """Another host name, or a form of another site, is refused."""
    assert page.client.get("/", headers={"Host": "evil.example"}).status_code == 403
    assert page.client.post("/page/new/user", data={"name": "Mira"}).status_code == 415
    headers = page.client.get("/").headers
    assert "default-src 'none'" in headers["Content-Security-Policy"]
