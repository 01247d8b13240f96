"""
A threaded HTTP server that keeps connections open and sends each response in one write.

Werkzeug's own server closes the connection after every response, so that each API call costs a new connection and a new
thread.
"""

from http import HTTPStatus
from io import BytesIO
from typing import TYPE_CHECKING

from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler
from werkzeug.test import run_wsgi_app

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

# An idle connection is closed after this time.
_IDLE_SECONDS = 75.0


class _Handler(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"
    # A small response must not wait for the acknowledgement of the previous one.
    disable_nagle_algorithm = True
    timeout = _IDLE_SECONDS

    def run_wsgi(self) -> None:
        """Handle one request; close the connection instead if the server is stopping."""
        if getattr(self.server, "stopping", False):
            self.close_connection = True
            return
        environ = self.make_environ()
        length = environ.get("CONTENT_LENGTH", "")
        if "HTTP_TRANSFER_ENCODING" in environ:
            # A chunked body is not read; its rest would be taken for the next request.
            self.close_connection = True
        else:
            environ["wsgi.input"] = BytesIO(self.rfile.read(int(length)) if length.isdigit() else b"")
        chunks, status, headers = run_wsgi_app(self.server.app, environ, buffered=True)
        body = b"".join(chunks)
        code = int(status.partition(" ")[0])
        self.send_response_only(code, HTTPStatus(code).phrase)
        if "Date" not in headers:
            headers.add("Date", self.date_time_string())
        if "Content-Length" not in headers:
            headers.add("Content-Length", str(len(body)))
        for name, value in headers:
            self.send_header(name, value)
        self._headers_buffer.append(b"\r\n" + (b"" if self.command == "HEAD" else body))
        self.flush_headers()

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Log nothing: the page sends a request each second, and a backfill thousands."""


class EmulatorServer(ThreadedWSGIServer):
    """Serves one application. `stopping` makes open connections close at their next request."""

    stopping = False

    def __init__(self, host: str, port: int, app: "WSGIApplication") -> None:
        super().__init__(host, port, app, _Handler)

    def shutdown(self) -> None:
        """Stop serving; call it from any thread except the one that serves."""
        self.stopping = True
        super().shutdown()
