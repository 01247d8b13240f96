"""WSGI middleware: addresses that begin with a region belong to the API, all others to the emulator's page."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from emulator.api.api_request import ApiRequest
from emulator.api.intercom_emulator import REGIONS, IntercomEmulator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# The only Host names that the page and the API accept; see `emulator.page_security`.
LOCAL_HOST_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
# Bytes of a body that are read at most; the rest is dropped.
_LONGEST_BODY = 4_000_000


class ApiMiddleware:
    """
    A WSGI application that handles API calls itself, without the cost of a web framework.

    Args:
        intercom: handles the API calls.
        app: handles all other requests.
    """

    def __init__(self, intercom: IntercomEmulator, app: "WSGIApplication") -> None:
        self._intercom = intercom
        self._app = app

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """Handle one request."""
        region, _, path = environ["PATH_INFO"].lstrip("/").partition("/")
        if region not in REGIONS:
            return self._app(environ, start_response)
        host = environ.get("HTTP_HOST", "127.0.0.1")
        if urlsplit(f"//{host}").hostname not in LOCAL_HOST_NAMES:
            start_response("403 Forbidden", [("Content-Length", "0")])
            return [b""]
        response = self._intercom.respond(_read_request(environ, region, f"/{path}", host))
        body: bytes = response.content
        headers = [*response.headers.items(), ("Content-Length", str(len(body)))]
        start_response(f"{response.status} {HTTPStatus(response.status).phrase}", headers)
        return [body]


def _read_request(environ: dict[str, Any], region: str, path: str, host: str) -> ApiRequest:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or name == "CONTENT_TYPE"
    }
    length = min(int(environ.get("CONTENT_LENGTH") or 0), _LONGEST_BODY)
    body = environ["wsgi.input"].read(length) if length else b""
    path = path.rstrip("/").encode("latin-1").decode("utf-8", "replace")
    return ApiRequest(environ["REQUEST_METHOD"], region, path, environ.get("QUERY_STRING", ""), headers, body, host)
