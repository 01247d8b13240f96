"""The emulator's server: persistent connections, concurrent calls, and the switches."""

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests

from emulator.bulk_load import bulk_load
from emulator.notification_sender import NotificationSender, WebhookTarget
from emulator.simulation import Simulation
from emulator.web_app import make_emulator_server
from emulator.workspace import EmulatedWorkspace
from intercom_api.wire.signatures import sign_body

TIMEOUT_SECONDS = 30
AUTHORIZATION = {"Authorization": "Bearer dev-token-demo0001"}


class Receiver(ThreadingHTTPServer):
    """Receives callbacks."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.received: list[tuple[str, bytes, str | None]] = []
        self.arrived = threading.Event()


class Handler(BaseHTTPRequestHandler):
    """Stores path, body and signature."""

    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.received.append((self.path, body, self.headers["X-Body-Signature"]))
        self.send_response(200)
        self.end_headers()
        self.server.arrived.set()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def address(receiver: Receiver) -> Iterator[str]:
    workspace = EmulatedWorkspace()
    bulk_load(workspace, 200, 20, links=2, seed=5)
    target = WebhookTarget(f"http://127.0.0.1:{receiver.server_port}/webhooks/intercom", "cs_example")
    with NotificationSender(target) as sender, Simulation(workspace, sender, rate=0) as simulation:
        server = make_emulator_server(simulation, 0)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def set_switches(address: str, switches: dict[str, object]) -> requests.Response:
    return requests.post(f"http://{address}/api-quirks", json=switches, timeout=TIMEOUT_SECONDS)


def test_a_connection_stays_open(address: str) -> None:
    """Several calls, errors among them, use one connection."""
    connection = HTTPConnection(address, timeout=TIMEOUT_SECONDS)
    connection.connect()
    socket = connection.sock
    for method, path, status in (
        ("GET", "/us/me", 200),
        ("GET", "/us/contacts/x", 404),
        ("HEAD", "/", 200),
        ("POST", "/us/companies/list", 200),
        ("GET", "/", 200),
    ):
        connection.request(method, path, headers=AUTHORIZATION)
        response = connection.getresponse()
        response.read()
        assert response.status == status
        assert connection.sock is socket
    connection.close()


def test_calls_are_concurrent(address: str) -> None:
    """32 calls of 0.2 s each from 16 threads take little more than 0.4 s."""
    set_switches(address, {"latency_ms": 200})
    with ThreadPoolExecutor(16) as pool:
        began = time.monotonic()
        responses = list(
            pool.map(
                lambda _: requests.get(f"http://{address}/us/contacts", headers=AUTHORIZATION, timeout=TIMEOUT_SECONDS),
                range(32),
            )
        )
        took = time.monotonic() - began
    assert {response.status_code for response in responses} == {200}
    # Without concurrency they would take 6.4 s.
    assert 0.4 <= took < 3.2


def test_switches_are_set_over_http(address: str) -> None:
    """A misspelt switch is refused, and nothing changes."""
    assert set_switches(address, {"embedded": 3}).json()["embedded"] == 3
    refused = set_switches(address, {"embedded": 5, "shoe_size": 1})
    assert refused.status_code == 409
    assert requests.get(f"http://{address}/api-quirks", timeout=TIMEOUT_SECONDS).json()["embedded"] == 3


def test_the_api_accepts_local_host_names_only(address: str) -> None:
    """Another Host header is refused."""
    headers = AUTHORIZATION | {"Host": "elsewhere.example"}
    response = requests.get(f"http://{address}/us/me", headers=headers, timeout=TIMEOUT_SECONDS)
    assert response.status_code == 403


@pytest.mark.parametrize("how", ["the product", "an admin"])
def test_uninstalling_posts_a_callback_and_revokes_the_token(address: str, receiver: Receiver, how: str) -> None:
    """The callback contains the workspace and is signed with SHA-256; the token is a 401 from then on."""
    path = "/us/auth/uninstall" if how == "the product" else "/api-uninstall/demo0001"
    sent = requests.post(f"http://{address}{path}", headers=AUTHORIZATION, json={}, timeout=TIMEOUT_SECONDS)
    assert sent.status_code == 200
    assert receiver.arrived.wait(TIMEOUT_SECONDS)
    [(callback, body, signature)] = receiver.received
    assert callback == "/webhooks/intercom/uninstall"
    assert json.loads(body) == {"app_id": "demo0001"}
    assert signature == sign_body(body, "cs_example")
    response = requests.get(f"http://{address}/us/me", headers=AUTHORIZATION, timeout=TIMEOUT_SECONDS)
    assert (response.status_code, response.json()["errors"][0]["code"]) == (401, "token_revoked")


def test_concurrent_writers_and_readers_leave_the_workspace_consistent(address: str) -> None:
    """After eight writers and readers both ends have every link, and the list has every contact once."""

    def work(number: int) -> None:
        with requests.Session() as session:
            session.headers.update(AUTHORIZATION)
            base = f"http://{address}/us"
            company = session.post(f"{base}/companies", json={"company_id": f"c{number % 3}"}, timeout=30).json()["id"]
            for index in range(8):
                body = {"role": "user", "external_id": f"w{number}-{index}"}
                contact = session.post(f"{base}/contacts", json=body, timeout=30).json()["id"]
                session.post(f"{base}/contacts/{contact}/companies", json={"id": company}, timeout=30)
                assert session.get(f"{base}/contacts", params={"per_page": 50}, timeout=30).ok
                if index % 3 == 0:
                    session.delete(f"{base}/contacts/{contact}", timeout=30)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(work, range(8)))
    truth = requests.get(f"http://{address}/truth/demo0001", timeout=TIMEOUT_SECONDS).json()
    ends = {(one["id"], id_) for one in truth["contacts"].values() for id_ in one["_company_ids"]}
    assert ends == {(id_, one["id"]) for one in truth["companies"].values() for id_ in one["_contact_ids"]}
    listed = requests.get(f"http://{address}/us/contacts", headers=AUTHORIZATION, timeout=TIMEOUT_SECONDS).json()
    assert listed["total_count"] == len(truth["contacts"]) - len(truth["archived"])
    assert len([one for one in truth["contacts"].values() if (one["external_id"] or "").startswith("w")]) == 40
