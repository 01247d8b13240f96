"""Converts a request of the event loop (RSGI) to one that Flask understands (WSGI), and the response back."""

import io
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from granian.rsgi import Scope

_CONSTANT_ENVIRON: "WSGIEnvironment" = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "granian",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    # The body is complete before Flask sees it, so reading to its end is safe.
    "wsgi.input_terminated": True,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


# Set by a view in the environment of its request if the response is to be forwarded while it arrives. Such a response
# declares its length, so that the client can detect a truncated one.
STREAMING_KEY = "intercom_mirror.streaming"

# A list in the environment of a request: functions to call once the response is on its way. Where it is absent, a view
# calls them at once.
AFTER_RESPONSE_KEY = "intercom_mirror.after_response"


class BufferedResponse(NamedTuple):
    """A complete response."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


class StreamedResponse(NamedTuple):
    """A response to forward while it arrives: `body` may block for long, and `close` must be called."""

    status: int
    headers: list[tuple[str, str]]
    body: Iterator[bytes]
    close: Callable[[], object]


# Header names are few; the limit keeps a client that invents names from filling memory.
_MAX_KNOWN_NAMES = 256
_known_names: dict[str, str | None] = {}


def build_environ(scope: "Scope") -> "WSGIEnvironment":
    """
    Describe the request as PEP 3333 requires, with an empty body.

    Repeated headers are joined by commas, so that two signatures are not a valid signature. Names with an underscore
    are left out: WSGI could not distinguish X_Hub_Signature from X-Hub-Signature.
    """
    environ = _CONSTANT_ENVIRON.copy()
    environ["REQUEST_METHOD"] = scope.method
    environ["PATH_INFO"] = _path(scope.path)
    environ["QUERY_STRING"] = scope.query_string
    environ["SERVER_PROTOCOL"] = f"HTTP/{scope.http_version}"
    environ["SERVER_NAME"], _, environ["SERVER_PORT"] = scope.server.rpartition(":")
    environ["REMOTE_ADDR"] = scope.client.rpartition(":")[0]
    environ["wsgi.url_scheme"] = scope.scheme
    environ["wsgi.input"] = io.BytesIO()
    for name, value in scope.headers.items():
        key = _known_names[name] if name in _known_names else _environ_name(name)
        if key is not None:
            environ[key] = f"{environ[key]},{value}" if key in environ else value
    return environ


def _path(path: str) -> str:
    # granian has decoded it; WSGI requires its bytes as Latin-1. Flask's router, too, takes several leading slashes as
    # one.
    if path.startswith("//"):
        path = f"/{path.lstrip('/')}"
    return path if path.isascii() else path.encode().decode("latin-1")


def _environ_name(name: str) -> str | None:
    if "_" in name:
        key = None
    else:
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = f"HTTP_{key}"
    if len(_known_names) < _MAX_KNOWN_NAMES:
        _known_names[name] = key
    return key


def run(application: "WSGIApplication", environ: "WSGIEnvironment") -> BufferedResponse:
    """Run the application and read its response completely."""
    response = begin(application, environ)
    if isinstance(response, BufferedResponse):
        return response
    try:
        return BufferedResponse(response.status, response.headers, b"".join(response.body))
    finally:
        response.close()


def begin(application: "WSGIApplication", environ: "WSGIEnvironment") -> BufferedResponse | StreamedResponse:
    """Run the application; the body of a response whose view set STREAMING_KEY is left unread."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:  # noqa: ARG001 -- WSGI's signature
        started[:] = [int(status[:3]), headers]

    chunks = application(environ, start_response)
    close = getattr(chunks, "close", _no_close)
    if STREAMING_KEY in environ:
        return StreamedResponse(started[0], started[1], iter(chunks), close)
    try:
        body = b"".join(chunks)
    finally:
        close()
    return BufferedResponse(started[0], started[1], body)


def _no_close() -> None:
    """Stand in for the `close` of a response that has none."""
