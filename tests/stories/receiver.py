"""A receiver of outgoing webhooks: a real HTTP server on its own port."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import msgspec
from standardwebhooks import Webhook


class ReceivedRequest(NamedTuple):
    """One request; header names are in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        """The change in the message."""
        return msgspec.json.decode(self.body, type=dict[str, Any])["data"]  # type: ignore[no-any-return]

    def signed_with(self, secret: str) -> dict[str, Any]:
        """Verify the signature with the library of the specification, and return the message."""
        return Webhook(secret).verify(self.body, self.headers)  # type: ignore[no-any-return]


class Receiver:
    """
    Keeps each request in `received`, in the order of arrival, and responds.

    The status is `status_for_all` if it is set, else that of the object's id in `statuses`, else 204. `headers` are
    sent with each response.
    """

    def __init__(self) -> None:
        self.received: list[ReceivedRequest] = []
        self.statuses: dict[str, int] = {}
        self.status_for_all: int | None = None
        self.headers: dict[str, str] = {}
        self.port = 0

    @property
    def url(self) -> str:
        """The URL of the endpoint."""
        return f"http://127.0.0.1:{self.port}/hook"

    def ids(self) -> list[str]:
        """Return the ids of the objects in the messages received."""
        return [each.data["object_id"] for each in self.received]

    def respond(self, received: ReceivedRequest) -> int:
        """Keep a request, and return the status of its response."""
        self.received.append(received)
        return self.status_for_all or self.statuses.get(received.data.get("object_id", ""), 204)


@contextmanager
def run_receiver(given: Receiver | None = None) -> Iterator[Receiver]:
    """Run a receiver for the length of the block."""
    receiver = given or Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.respond(ReceivedRequest(self.path, headers, body)))
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Log nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
