"""From a request of the event loop (RSGI) to one that Flask understands (WSGI), and back."""

import io
import sys
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from granian.rsgi import Scope

_ALWAYS: "WSGIEnvironment" = {
    "SCRIPT_NAME": "",
    "SERVER_SOFTWARE": "granian",
    "wsgi.version": (1, 0),
    "wsgi.errors": sys.stderr,
    # The body is whole before Flask sees it, so that reading to its end is safe.
    "wsgi.input_terminated": True,
    "wsgi.multithread": True,
    "wsgi.multiprocess": True,
    "wsgi.run_once": False,
}


# Set in the environment of a request whose answer is to be handed on while it arrives. Such an answer announces its
# length, so that whoever gets it can tell when it broke off.
STREAMING_KEY = "intercom_mirror.streaming"

# A list in the environment of a request: what is to be done once its answer is on its way. Where there is none, whoever
# has something to do then does it at once.
AFTERWARDS_KEY = "intercom_mirror.afterwards"


class Answer(NamedTuple):
    """What goes back."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes


# Names of headers are few; the cap keeps a sender of made-up names from filling memory.
_MAX_KNOWN_NAMES = 256
_known_names: dict[str, str | None] = {}


def environ_of(scope: "Scope") -> "WSGIEnvironment":
    """
    Describe the request as PEP 3333 wants it, with an empty body.

    Headers that are sent twice are joined by commas, so that two signatures are no signature. Names with an
    underscore are left out: WSGI could not tell X_Hub_Signature from X-Hub-Signature.
    """
    environ = _ALWAYS.copy()
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
    # granian has decoded it; WSGI wants its bytes as Latin-1. Slashes in front are one slash to Flask's router too.
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


class Stream(NamedTuple):
    """An answer that is handed on while it arrives: `body` may take long, and must be closed."""

    status: int
    headers: list[tuple[str, str]]
    body: Iterator[bytes]
    close: Callable[[], object]


def run(application: "WSGIApplication", environ: "WSGIEnvironment") -> Answer:
    """Run the application to the end of its answer."""
    begun = begin(application, environ)
    if isinstance(begun, Answer):
        return begun
    try:
        return Answer(begun.status, begun.headers, b"".join(begun.body))
    finally:
        begun.close()


def begin(application: "WSGIApplication", environ: "WSGIEnvironment") -> Answer | Stream:
    """Run the application; the body of an answer whose view set STREAMING_KEY is left to be read."""
    started: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], exc_info: object = None) -> Any:  # noqa: ARG001 -- WSGI's signature
        started[:] = [int(status[:3]), headers]

    chunks = application(environ, start_response)
    close = getattr(chunks, "close", _nothing)
    if STREAMING_KEY in environ:
        return Stream(started[0], started[1], iter(chunks), close)
    try:
        body = b"".join(chunks)
    finally:
        close()
    return Answer(started[0], started[1], body)


def _nothing() -> None:
    """Stand in for the close that an answer need not have."""
