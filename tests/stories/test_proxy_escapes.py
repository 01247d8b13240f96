"""No call makes the proxy send a request to another host or path, or forward forbidden headers."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from settings import get_settings
from tests.stories.api_user import ApiUser, problem
from tests.stories.conftest import EmulatedIntercom
from tests.stories.connect_site import forget_process

ESCAPES = [
    "/../oauth",
    "/contacts/../../oauth",
    "/contacts/..",
    "/./contacts",
    "//evil.test/x",
    "/contacts//evil.test",
    "/https://evil.test/",
    "/http:/evil.test",
    "/@evil.test/",
    "/:80@evil.test/",
    "/.evil.test",
    "/\\evil.test",
    "/contacts\\..\\admins",
    "/%2e%2e/oauth",
    "/contacts/%2e%2e/%2e%2e/oauth",
    "/%252e%252e/oauth",
    "/contacts/%252f",
    "/contacts/%00",
    "/contacts/%0d%0aHost:%20evil.test",
    "/contacts/%0a",
    "/contacts/%7f",
    "/contacts/%c2%85",
    "/contacts/%ff",
    "/contacts/%e2%80%a8",
    "/%2f%2fevil.test",
    "/contacts/%5c..",
    "/contacts/. .",
    "/",
]


@pytest.fixture
def user(site: EmulatedIntercom) -> ApiUser:
    """A user connected to one workspace."""
    assert site
    return ApiUser("u-1", "demo0001")


@pytest.mark.parametrize("path", ESCAPES)
def test_a_path_that_leads_elsewhere_is_refused(user: ApiUser, site: EmulatedIntercom, path: str) -> None:
    """Nothing is sent."""
    before = sum(site.intercom.workspace_apis["demo0001"].calls.values())
    answer = user.proxy("GET", path)
    assert answer.status_code in (400, 404), (path, answer.status_code, answer.text)
    assert problem(answer) in ("bad-path", "not-found")
    assert sum(site.intercom.workspace_apis["demo0001"].calls.values()) == before


@pytest.mark.parametrize("path", ["/auth/uninstall", "/auth/eagle/token", "/oauth", "/AUTH/uninstall"])
def test_a_user_cannot_end_the_whole_installation(user: ApiUser, path: str) -> None:
    """It would disconnect other users of the workspace."""
    answer = user.proxy("POST", path)
    assert (answer.status_code, problem(answer)) == (403, "closed-path")
    assert user.proxy("GET", "/me").status_code == 200


class _RedirectingServer(BaseHTTPRequestHandler):
    """A server that redirects, sets cookies, and records the requests."""

    received: list[dict[str, str]] = []  # noqa: RUF012 -- shared by all requests on purpose

    def do_GET(self) -> None:
        self.received.append({"path": self.path, **{name.lower(): value for name, value in self.headers.items()}})
        moved = self.path.startswith("/moved")
        self.send_response(302 if moved else 200)
        if moved:
            self.send_header("Location", "http://169.254.169.254/latest/meta-data/")
        self.send_header("Set-Cookie", "session=secret")
        self.send_header("Content-Type", "text/html")
        self.send_header("Connection", "x-hop")
        self.send_header("X-Hop", "1")
        self.send_header("X-RateLimit-Remaining", "5")
        body = b"<script>alert(1)</script>"
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def received_requests(user: ApiUser, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[dict[str, str]]]:
    """Use that server as Intercom; return the requests that it received."""
    assert user
    server = ThreadingHTTPServer(("127.0.0.1", 0), _RedirectingServer)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    monkeypatch.setenv("INTERCOM_API_URL", f"http://127.0.0.1:{server.server_port}")
    forget_process()
    assert get_settings().api_url
    _RedirectingServer.received.clear()
    yield _RedirectingServer.received
    server.shutdown()
    server.server_close()


def test_a_redirect_is_not_followed(user: ApiUser, received_requests: list[dict[str, str]]) -> None:
    """Its address is not returned, since a browser would follow it."""
    answer = user.proxy("GET", "/moved")
    assert (answer.status_code, problem(answer)) == (502, "redirected")
    assert "Location" not in answer.headers
    assert [each["path"] for each in received_requests] == ["/moved"]


def test_only_allowed_headers_are_forwarded(user: ApiUser, received_requests: list[dict[str, str]]) -> None:
    """The user's token and cookies are not forwarded; cookies and hop-by-hop headers are not returned."""
    sent = {
        "Cookie": "ours=secret",
        "X-Forwarded-For": "1.2.3.4",
        "Host": "evil.test",
        "Intercom-Version": "2.15",
        "X-Workspace-Id": "demo0001",
        "Accept": "text/html",
        "Referer": "http://x.test/",
    }
    answer = user.proxy("GET", "/page", headers=sent)
    (received,) = received_requests
    assert received["host"].startswith("127.0.0.1:")
    assert user.token not in str(received)
    assert received["authorization"].startswith("Bearer ")
    assert (received["intercom-version"], received["accept"]) == ("2.15", "text/html")
    assert {"cookie", "x-forwarded-for", "x-workspace-id", "referer"}.isdisjoint(received)
    assert {"Set-Cookie", "X-Hop", "Connection"}.isdisjoint(answer.headers.keys())
    assert answer.headers["X-RateLimit-Remaining"] == "5"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert received["authorization"].removeprefix("Bearer ") not in answer.text


def test_a_query_is_forwarded_unchanged(user: ApiUser, received_requests: list[dict[str, str]]) -> None:
    """Including encoded characters, repetitions and order."""
    user.proxy("GET", "/page?b=1&a=%40x%2F..%2F&b=2&c")
    assert received_requests[0]["path"] == "/page?b=1&a=%40x%2F..%2F&b=2&c"


def test_a_body_that_is_too_large_is_refused(user: ApiUser) -> None:
    """Nothing is sent."""
    answer = user.proxy("POST", "/contacts", data=b"x" * (4 * 1024 * 1024 + 1))
    assert (answer.status_code, problem(answer)) == (413, "too-large")
