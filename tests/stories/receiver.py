"""An application that receives outgoing webhooks: a real server on a port of its own."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple

import msgspec
from standardwebhooks import Webhook


class Received(NamedTuple):
    """One call: names of headers in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def data(self) -> dict[str, Any]:
        """What changed."""
        return msgspec.json.decode(self.body, type=dict[str, Any])["data"]  # type: ignore[no-any-return]

    def signed_with(self, secret: str) -> dict[str, Any]:
        """Verify the signature as an application does, with the specification's own library."""
        return Webhook(secret).verify(self.body, self.headers)  # type: ignore[no-any-return]


class Receiver:
    """
    Answers the status that `everything` or, by the id of the object, `answers` says, with `headers`; else 204.

    `received`: every call, in the order of their arrival.
    """

    def __init__(self) -> None:
        self.received: list[Received] = []
        self.answers: dict[str, int] = {}
        self.everything: int | None = None
        self.headers: dict[str, str] = {}
        self.port = 0

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}/hook"

    def ids(self) -> list[str]:
        """Return the ids of the objects that were told of."""
        return [each.data["object_id"] for each in self.received]

    def answer(self, received: Received) -> int:
        """Keep a call, and say what it is answered."""
        self.received.append(received)
        return self.everything or self.answers.get(received.data.get("object_id", ""), 204)


@contextmanager
def receiving(given: Receiver | None = None) -> Iterator[Receiver]:
    """Run one."""
    receiver = given or Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.send_response(receiver.answer(Received(self.path, headers, body)))
            for name, value in receiver.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Stay silent."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    receiver.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield receiver
    finally:
        server.shutdown()
        server.server_close()
