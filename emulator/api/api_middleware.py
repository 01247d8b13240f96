"""The API in front of the emulator's page: what begins with a region is Intercom's, the rest the page's."""

from collections.abc import Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from emulator.api.api_request import ApiRequest
from emulator.api.intercom_emulator import REGIONS, IntercomEmulator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

# The page and the API answer to this machine's own names only.
LOCAL_HOST_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})
_LONGEST_BODY = 4_000_000


class ApiMiddleware:
    """
    A WSGI application: calls of the API are answered here, without the weight of a web framework.

    Args:
        intercom: answers them.
        rest: answers everything else.
    """

    def __init__(self, intercom: IntercomEmulator, rest: "WSGIApplication") -> None:
        self._intercom = intercom
        self._rest = rest

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:  # noqa: D102 -- WSGI says it
        region, _, path = environ["PATH_INFO"].lstrip("/").partition("/")
        if region not in REGIONS:
            return self._rest(environ, start_response)
        host = environ.get("HTTP_HOST", "127.0.0.1")
        if urlsplit(f"//{host}").hostname not in LOCAL_HOST_NAMES:
            start_response("403 Forbidden", [("Content-Length", "0")])
            return [b""]
        answer = self._intercom.respond(_request(environ, region, f"/{path}", host))
        body: bytes = answer.content
        headers = [*answer.headers.items(), ("Content-Length", str(len(body)))]
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        return [body]


def _request(environ: dict[str, Any], region: str, path: str, host: str) -> ApiRequest:
    headers = {
        name.removeprefix("HTTP_").replace("_", "-").lower(): value
        for name, value in environ.items()
        if name.startswith("HTTP_") or name == "CONTENT_TYPE"
    }
    length = min(int(environ.get("CONTENT_LENGTH") or 0), _LONGEST_BODY)
    body = environ["wsgi.input"].read(length) if length else b""
    path = path.rstrip("/").encode("latin-1").decode("utf-8", "replace")
    return ApiRequest(environ["REQUEST_METHOD"], region, path, environ.get("QUERY_STRING", ""), headers, body, host)
