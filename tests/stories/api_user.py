"""Users of the API: their tokens, their requests, and the API on a port of this process."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from socketserver import ThreadingMixIn
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from flask.testing import FlaskClient
from werkzeug.test import TestResponse

from tests.stories.connect_site import Browser, user_token
from webhooks.app import create_app


class ApiUser:
    """A user with connected workspaces; requests to /api carry the user's token."""

    def __init__(self, user_id: str, *workspaces: str) -> None:
        self.user_id = user_id
        browser = Browser()
        browser.open(user_id)
        for workspace_id in workspaces:
            browser.connect(workspace_id)
        self.token = user_token(user_id)
        self.client: FlaskClient = create_app().test_client()

    def request(self, method: str, path: str, workspace: str | None = None, **more: Any) -> TestResponse:
        """Send a request to /api."""
        headers = {"Authorization": f"Bearer {self.token}", **more.pop("headers", {})}
        if workspace is not None:
            headers["X-Workspace-Id"] = workspace
        return self.client.open(f"/api{path}", method=method, headers=headers, **more)

    def proxy(self, method: str, path: str, workspace: str | None = None, **more: Any) -> TestResponse:
        """Send a request to Intercom through the proxy."""
        return self.request(method, f"/proxy{path}", workspace, **more)

    def act(self, name: str, given: Any, key: str | None = None, workspace: str | None = None) -> TestResponse:
        """Perform an action."""
        headers = {} if key is None else {"Idempotency-Key": key}
        return self.request("POST", f"/actions/{name}", workspace, json=given, headers=headers)


class _Quiet(WSGIRequestHandler):
    def log_message(self, *_: Any) -> None:
        pass


class _Threads(ThreadingMixIn, WSGIServer):
    daemon_threads = True


@contextmanager
def serve_app() -> Iterator[str]:
    """Serve the API for the length of the block; yield its URL."""
    server = make_server("127.0.0.1", 0, create_app(), _Threads, _Quiet)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()


def problem(response: TestResponse) -> str:
    """Return the type of the problem in a response."""
    assert response.mimetype == "application/problem+json", (response.status, response.text)
    kind: str = response.json["type"]  # type: ignore[index]
    return kind.removeprefix("urn:intercom-mirror:problem:")
