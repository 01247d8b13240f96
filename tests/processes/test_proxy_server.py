"""The proxy in a real web process: raw paths, concurrent requests, large bodies and responses."""

import http.client
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import jwt
import pytest
from cryptography.fernet import Fernet
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from intercom_api.http.client import Me
from tests.stories.connect_site import surroundings
from tests.stories.intercom_server import TOKEN, WORKSPACE, IntercomServer, intercom_server
from tests.web_process import CLIENT_SECRET, Answer, WebProcess, running
from workers.connections import registry

_KEY = ec.generate_private_key(ec.SECP256R1())
# As in `webhooks.api.proxy`.
_LARGEST = 4 * 1024 * 1024
# Seconds; a busy machine may need several. No test here measures time.
_TIMEOUT_SECONDS = 30.0
_DOWNLOAD = bytes(range(256)) * 4 * 1024 * 20


def user_token() -> str:
    return jwt.encode({"sub": "ada", "exp": 4_000_000_000}, _KEY, algorithm="ES256")


class ProxyUser:
    """A connected user of a web process."""

    def __init__(self, web: WebProcess) -> None:
        self.web = web
        self._token = user_token()

    def request(self, method: str, path: str, body: bytes = b"", *headers: str) -> Answer:
        """Send exactly this path."""
        head = [f"{method} {path} HTTP/1.1", "Host: localhost", f"Authorization: Bearer {self._token}", *headers]
        if body:
            head += [f"Content-Length: {len(body)}", "Content-Type: application/json"]
        return self.web.ask("\r\n".join([*head, "", ""]).encode() + body)

    def read(self, path: str) -> bytes:
        """Return a whole response body, however it is sent."""
        connection = http.client.HTTPConnection("127.0.0.1", self.web.port, timeout=30)
        with closing(connection):
            connection.request("GET", path, headers={"Authorization": f"Bearer {self._token}"})
            with connection.getresponse() as response:
                return response.read()


@pytest.fixture
def intercom(redis_url: str) -> Iterator[IntercomServer]:
    with intercom_server(redis_url) as server:
        yield server


@pytest.fixture
def user(
    intercom: IntercomServer, redis_url: str, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ProxyUser]:
    """A connected user, and a running web process."""
    with _connected(f"{intercom.url}/us", redis_url, sqlite_url, tmp_path, monkeypatch) as web:
        yield ProxyUser(web)


@contextmanager
def _connected(
    api_url: str, redis_url: str, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[WebProcess]:
    public = _KEY.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    environment = {
        "REDIS_URL": redis_url,
        "DATABASE_URL": sqlite_url,
        "INTERCOM_API_URL": api_url,
        "INTERCOM_CLIENT_ID": "an-app",
        "INTERCOM_CLIENT_SECRET": CLIENT_SECRET,
        "USER_TOKEN_PUBLIC_KEY": public.decode(),
        "TOKEN_ENCRYPTION_KEYS": Fernet.generate_key().decode(),
    }

    with surroundings(monkeypatch, tmp_path, **environment):
        monkeypatch.setattr(registry, "wake_sync", lambda: None)
        registry.connect("ada", TOKEN, Me("1", WORKSPACE, "US", None, None))
        with running(tmp_path, redis_url) as web:
            yield web


_OUTSIDE_PATHS = (
    "/api/proxy/../../connect",
    "/api/proxy/..%2f..%2foauth",
    "/api/proxy/%2e%2e/%2e%2e/us/me",
    "/api/proxy//evil.test",
    "/api/proxy/contacts/%2e%2e/me",
    "/api/proxy/%252e%252e/me",
    "/api/proxy/contacts%00",
    "/api/proxy/con%0d%0atacts",
    "/api/proxy/\\evil.test",
    "/api/proxy/http://evil.test/",
    "/api/proxy/@evil.test/",
    "/api/proxy/contacts/%ff",
    "//api/proxy//evil.test",
    "/api/proxy/auth/uninstall",
    "/api/proxy/%61uth/uninstall",
)


def test_raw_paths_that_leave_the_api_are_refused(user: ProxyUser, intercom: IntercomServer) -> None:
    """The request line contains exactly these bytes."""
    answers = {path: user.request("GET", path) for path in _OUTSIDE_PATHS}
    assert {path: answer for path, answer in answers.items() if not 400 <= answer.status < 500} == {}
    assert sum(intercom.tenant.calls.values()) == 0


class _Holding(ThreadingHTTPServer):
    """An Intercom that holds every request until it may respond."""

    # Connections that may wait to be accepted: all at once.
    request_queue_size = 128

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _HoldingHandler)
        self.arrived = threading.Semaphore(0)
        self.may_respond = threading.Event()


class _HoldingHandler(BaseHTTPRequestHandler):
    server: _Holding

    def do_GET(self) -> None:
        self.server.arrived.release()
        self.server.may_respond.wait(_TIMEOUT_SECONDS)
        self.send_response(200)
        # Without a known allowance the client makes only a few calls.
        for name, value in (("Limit", 1_600), ("Remaining", 1_500), ("Reset", int(time.time()) + 10)):
            self.send_header(f"X-RateLimit-{name}", str(value))
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def holding() -> Iterator[_Holding]:
    with _Holding() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.may_respond.set()
        server.shutdown()


@pytest.fixture
def held_user(
    holding: _Holding, redis_url: str, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ProxyUser]:
    """A user who is connected to an Intercom that holds every request but the first."""
    url = f"http://127.0.0.1:{holding.server_port}"
    with _connected(url, redis_url, sqlite_url, tmp_path, monkeypatch) as web:
        user = ProxyUser(web)
        holding.may_respond.set()
        assert user.request("GET", "/api/proxy/me").status == 200
        assert holding.arrived.acquire(timeout=_TIMEOUT_SECONDS)
        holding.may_respond.clear()
        yield user


def test_many_calls_wait_for_intercom_at_the_same_time(held_user: ProxyUser, holding: _Holding) -> None:
    """32 requests are at Intercom before it responds to the first, and notifications do not wait for them."""
    with ThreadPoolExecutor(32) as pool:
        calls = [pool.submit(held_user.request, "GET", "/api/proxy/me") for _ in range(32)]
        for _ in calls:
            assert holding.arrived.acquire(timeout=_TIMEOUT_SECONDS)
        assert held_user.web.post(b'{"topic": "ping"}').status == 200
        assert not any(call.done() for call in calls)
        holding.may_respond.set()
        assert {call.result().status for call in calls} == {200}


def test_requests_beyond_the_limit_are_refused(held_user: ProxyUser, holding: _Holding) -> None:
    """At once, instead of waiting."""
    with ThreadPoolExecutor(90) as pool:
        ended = as_completed(
            [pool.submit(held_user.request, "GET", "/api/proxy/me") for _ in range(90)], _TIMEOUT_SECONDS
        )
        refused = [next(ended).result() for _ in range(26)]
        holding.may_respond.set()
        statuses = [call.result().status for call in ended]
    assert {(answer.status, answer.headers.get("retry-after")) for answer in refused} == {(503, "1")}
    assert statuses == [200] * 64


def test_large_bodies_pass_up_to_a_limit(user: ProxyUser) -> None:
    """The limit is above that of notifications; a larger body is refused unread."""
    large = b'{"role": "user", "padding": "' + b"x" * 3_900_000 + b'"}'
    assert user.request("POST", "/api/proxy/contacts", large).status == 200
    assert user.request("POST", "/api/proxy/contacts", b" " * (_LARGEST + 1)).status == 413
    assert user.request("POST", "/api/proxy/contacts", b"", "Transfer-Encoding: chunked").status == 411


class _Downloads(BaseHTTPRequestHandler):
    """An Intercom that serves files; one of them breaks off."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(_DOWNLOAD)))
        self.end_headers()
        self.wfile.write(_DOWNLOAD[: len(_DOWNLOAD) // 2] if "broken" in self.path else _DOWNLOAD)

    def log_message(self, *_: object) -> None:
        pass


def test_a_download_arrives_whole_or_visibly_broken(
    redis_url: str, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Twenty megabytes arrive unchanged; a download that breaks off is an error for its reader."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Downloads)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    with _connected(url, redis_url, sqlite_url, tmp_path, monkeypatch) as web:
        user = ProxyUser(web)
        assert user.read("/api/proxy/download/whole") == _DOWNLOAD
        with pytest.raises((http.client.IncompleteRead, ConnectionError)):
            user.read("/api/proxy/download/broken")
        assert user.web.get("/healthz").status == 200
    server.shutdown()
    server.server_close()
