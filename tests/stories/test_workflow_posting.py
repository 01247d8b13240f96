"""What a step tells the application goes through the one place that may call addresses which a person wrote."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from settings import get_settings
from tests.stories.conftest import EmulatedIntercom
from workers.deliveries.http_post import PostError
from workers.workflows.engine.execute_step import ApplicationReply, post_to_application


class Application(ThreadingHTTPServer):
    """Answers each POST with what `says` holds, and keeps what it heard."""

    says: tuple[int, bytes] = (200, b'{"ok": true}')

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.heard: list[tuple[str, bytes, str | None]] = []


class _Handler(BaseHTTPRequestHandler):
    server: Application

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.heard.append((self.path, body, self.headers["Idempotency-Key"]))
        status, answer = self.server.says
        self.send_response(status)
        self.send_header("Content-Length", str(len(answer)))
        self.send_header("Set-Cookie", "secret=1")
        self.end_headers()
        self.wfile.write(answer)

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
    """Addresses of this machine may be called."""
    monkeypatch.setenv("ALLOW_PRIVATE_TARGETS", "1")
    get_settings.cache_clear()


@pytest.mark.usefixtures("allowed")
@pytest.mark.parametrize(
    ("says", "answer"),
    [
        ((200, b'{"ok": true}'), ApplicationReply(200, {"ok": True})),
        ((204, b""), ApplicationReply(204, None)),
        ((500, b"oh \xff"), ApplicationReply(500, "oh \ufffd")),
        ((302, b""), ApplicationReply(302, None)),
    ],
)
def test_the_answer_comes_back_as_json_or_text(
    application: Application, says: tuple[int, bytes], answer: ApplicationReply
) -> None:
    """Status and body, and no header; a redirect is not followed."""
    application.says = says
    url = f"http://127.0.0.1:{application.server_port}/hook"
    assert post_to_application(url, b'{"a": 1}', {"Idempotency-Key": "run:1:0:tell"}) == answer
    assert application.heard == [("/hook", b'{"a": 1}', "run:1:0:tell")]


@pytest.mark.usefixtures("site")
@pytest.mark.parametrize(
    "host", ["127.0.0.1:{port}", "169.254.169.254", "[::1]:{port}", "10.0.0.1", "localhost:{port}"]
)
@pytest.mark.parametrize("scheme", ["http", "https"])
def test_private_addresses_are_refused(application: Application, host: str, scheme: str) -> None:
    """A file that is filled in from a record must not reach into our network; the error names no address."""
    with pytest.raises(PostError) as caught:
        post_to_application(f"{scheme}://{host.format(port=application.server_port)}/hook?key=s3cret", b"{}", {})
    assert caught.value.not_sent
    assert application.heard == []
    assert "s3cret" not in str(caught.value)
    assert host.split(":", maxsplit=1)[0] not in str(caught.value)


@pytest.mark.usefixtures("allowed")
def test_nobody_there_means_that_nothing_was_heard() -> None:
    """So it may be said again."""
    with pytest.raises(PostError) as caught:
        post_to_application("http://127.0.0.1:9/hook", b"{}", {})
    assert (caught.value.not_sent, caught.value.permanent) == (True, False)
