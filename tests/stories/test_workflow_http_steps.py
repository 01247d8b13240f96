"""HTTP steps send their requests through the one module that may call URLs from users."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from settings import get_settings
from tests.stories.conftest import EmulatedIntercom
from workers.deliveries.http_post import PostError
from workers.workflows.engine.execute_step import ApplicationReply, post_to_application


class Application(ThreadingHTTPServer):
    """Responds to each POST with `response`, and keeps the requests."""

    response: tuple[int, bytes] = (200, b'{"ok": true}')

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, bytes, str | None]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Application

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.requests.append((self.path, body, self.headers["Idempotency-Key"]))
        status, content = self.server.response
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Set-Cookie", "secret=1")
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def application() -> Iterator[Application]:
    """An application on this machine."""
    with Application() as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def allowed(site: EmulatedIntercom, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ARG001 -- sets us up
    """Addresses of this machine are allowed."""
    monkeypatch.setenv("ALLOW_PRIVATE_TARGETS", "1")
    get_settings.cache_clear()


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize(
    ("response", "reply"),
    [
        ((200, b'{"ok": true}'), ApplicationReply(200, {"ok": True})),
        ((204, b""), ApplicationReply(204, None)),
        ((500, b"oh \xff"), ApplicationReply(500, "oh \ufffd")),
        ((302, b""), ApplicationReply(302, None)),
    ],
)
def test_the_response_is_decoded_as_json_or_text(
    application: Application, response: tuple[int, bytes], reply: ApplicationReply
) -> None:
    """Status and body without headers; redirects are not followed."""
    application.response = response
    url = f"http://127.0.0.1:{application.server_port}/hook"
    assert post_to_application(url, b'{"a": 1}', {"Idempotency-Key": "run:1:0:notify"}) == reply
    assert application.requests == [("/hook", b'{"a": 1}', "run:1:0:notify")]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "169.254.169.254", "[::1]:{port}", "10.0.0.1", "localhost:{port}"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_private_addresses_are_refused(application: Application, host: str, scheme: str) -> None:
    """A URL rendered from a record must not reach our own network; the error does not repeat the address."""
    with pytest.raises(PostError) as caught:
        post_to_application(f"{scheme}://{host.format(port=application.server_port)}/hook?key=s3cret", b"{}", {})
    assert caught.value.not_sent
    assert application.requests == []
    assert "s3cret" not in str(caught.value)
    assert host.split(":", maxsplit=1)[0] not in str(caught.value)


@pytest.mark.usefixtures("allowed")
def test_a_refused_connection_means_that_nothing_was_sent() -> None:
    """So the request may be repeated."""
    with pytest.raises(PostError) as caught:
        post_to_application("http://127.0.0.1:9/hook", b"{}", {})
    assert (caught.value.not_sent, caught.value.permanent) == (True, False)
