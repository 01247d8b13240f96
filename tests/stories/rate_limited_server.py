"""A server with Intercom's rate limit: windows of ten seconds, X-RateLimit headers and 429."""

import random
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Response

WINDOW = 10


class RateLimitedServer:
    """
    Responds to every request with a small object.

    Args:
        limit: requests in a window.
        ends_in: seconds until the first window ends.
        ahead: seconds by which its clock is ahead of this machine's.
        latency: seconds that a response takes at most.
    """

    def __init__(self, limit: int, ends_in: int = WINDOW, ahead: int = 0, latency: float = 0.05) -> None:
        self.limit = limit
        self.ahead = ahead
        self.latency = latency
        self.phase = (int(self.now()) + ends_in) % WINDOW
        self.counted: Counter[int] = Counter()
        self.refused = 0
        self.lock = threading.Lock()
        self.url = ""

    def now(self) -> float:
        return time.time() + self.ahead

    def window(self) -> int:
        """Return the second at which the current window ends."""
        return (int(self.now()) - self.phase) // WINDOW * WINDOW + WINDOW + self.phase

    def application(self, environ: dict[str, Any], start_response: Any) -> Any:
        """The WSGI application."""
        return self._answer()(environ, start_response)

    def _answer(self) -> Response:
        self._simulate_latency()
        with self.lock:
            ends = self.window()
            self.counted[ends] += 1
            count = self.counted[ends]
            self.refused += count > self.limit
        self._simulate_latency()
        response = Response('{"type": "tag", "id": "1"}', mimetype="application/json")
        if count > self.limit:
            body = '{"type": "error.list", "errors": [{"code": "rate_limit_exceeded", "message": "Exceeded"}]}'
            response = Response(body, status=429, mimetype="application/json")
        response.headers["X-RateLimit-Limit"] = str(self.limit)
        response.headers["X-RateLimit-Remaining"] = str(max(0, self.limit - count))
        response.headers["X-RateLimit-Reset"] = str(ends)
        return response

    def handler(self) -> type[WSGIRequestHandler]:
        """Return the request handler, which writes the Date header."""
        outer = self

        class Handler(WSGIRequestHandler):
            """Uses the server's own clock."""

            def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
                """Print nothing."""

            def date_time_string(self, timestamp: Any = None) -> str:
                return formatdate(outer.now() if timestamp is None else timestamp, usegmt=True)

        return Handler

    def _simulate_latency(self) -> None:
        # This pause is the server's latency.
        time.sleep(random.uniform(0, self.latency / 2))  # noqa: S311 -- no secret


@contextmanager
def serving(server: RateLimitedServer) -> Iterator[RateLimitedServer]:
    """Run it on the loopback interface within the block."""
    http = make_server("127.0.0.1", 0, server.application, threaded=True, request_handler=server.handler())
    server.url = f"http://127.0.0.1:{http.server_port}"
    thread = threading.Thread(target=http.serve_forever, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        thread.join(10)
        http.server_close()
