"""/api/proxy: Intercom's API on behalf of the connected user; /api/proxy/contacts is Intercom's /contacts."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response, request

from intercom_api.errors import TransientError
from intercom_api.http import passthrough
from webhooks.api import auth
from webhooks.api.problems import Problem, api
from webhooks.serving.request_body import read_whole_body
from webhooks.serving.wsgi_bridge import AFTER_RESPONSE_KEY, STREAMING_KEY

if TYPE_CHECKING:
    from intercom_api.http.passthrough import ProxiedResponse

PREFIX = "/api/proxy"

# Bytes of a request body. Intercom's largest are articles and bulk jobs, below a megabyte; images are sent as URLs.
MAX_BODY_BYTES = 4 * 1024 * 1024

# A browser must treat a response of Intercom's as data, even if it is declared as a page.
_SECURITY_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
_REDIRECTS = frozenset({301, 302, 303, 305, 306, 307, 308})


def _services() -> Any:
    # It loads SQL, which a process that only receives notifications does not need.
    from webhooks.api import acting_services  # noqa: PLC0415

    return acting_services


@api.route("/proxy/<path:path>", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], merge_slashes=False)
def proxy(path: str) -> Response:
    """Forward a call to Intercom, write what its response contains to the mirror, and return the response."""
    del path
    caller = auth.authenticate()
    workspace_id = auth.select_workspace(caller)
    address = _address()
    body = _body()
    given = {name: value for name in passthrough.REQUEST_HEADERS if (value := request.headers.get(name)) is not None}
    headers = passthrough.filter_request_headers(given)
    try:
        proxied = _services().forward_call(caller.user_id, workspace_id, request.method, address, headers, body)
    except passthrough.InvalidAddressError as error:
        raise _bad_path(error) from None
    except TransientError as error:
        raise _transient_problem(error) from None
    _call_after_response(proxied.record_response)
    if proxied.status in _REDIRECTS:
        proxied.close()
        raise Problem(
            HTTPStatus.BAD_GATEWAY,
            "redirected",
            "Intercom redirects",
            f"Intercom responded with {proxied.status} and another address. Redirects are not followed.",
        )
    return _response(workspace_id, address[0], proxied)


def _call_after_response(work: Callable[[], None]) -> None:
    """
    Call a function once the response is on its way; at once under a server that cannot do that.

    Measured with `bench/proxy.py` on PostgreSQL, alternating on a busy machine: at the median a proxied GET takes 4 ms
    longer than a direct one this way, and 7 ms longer if the rate limit is recorded in Redis before the response.
    """
    pending = request.environ.get(AFTER_RESPONSE_KEY)
    if pending is None:
        work()
    else:
        pending.append(work)


def _address() -> tuple[str, str]:
    """Return path and query, checked."""
    # The path as it was decoded once, before Flask's router interprets it.
    raw = request.environ["PATH_INFO"].encode("latin-1")
    try:
        decoded = raw.decode("utf-8")[len(PREFIX) + 1 :]
        return passthrough.check_path(decoded), passthrough.check_query(request.environ["QUERY_STRING"])
    except UnicodeDecodeError:
        raise _bad_path(passthrough.InvalidAddressError("The path is not valid UTF-8.")) from None
    except passthrough.InvalidAddressError as error:
        raise _bad_path(error) from None


def _body() -> bytes | None:
    environ = request.environ
    if not environ.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" not in environ:
        return None
    return read_whole_body(environ, MAX_BODY_BYTES)


def _response(workspace_id: str, path: str, proxied: "ProxiedResponse") -> Response:
    headers = {**passthrough.filter_response_headers(proxied.headers), **_SECURITY_HEADERS}
    try:
        content = _services().write_through_response(workspace_id, request.method, path, proxied)
    except passthrough.ResponseTooLongError:
        raise Problem(
            HTTPStatus.BAD_GATEWAY,
            "answer-too-long",
            "Intercom's response is too long",
            "Request less at once, for example a smaller page.",
        ) from None
    except TransientError as error:
        raise _transient_problem(error) from None
    body: bytes | Iterable[bytes] = content if content is not None else proxied.chunks()
    response = Response(body, proxied.status, headers)
    if content is None and proxied.length is not None:
        response.content_length = proxied.length
        response.call_on_close(proxied.close)
        request.environ[STREAMING_KEY] = True
    if "Content-Type" not in headers:
        del response.headers["Content-Type"]
    return response


def _bad_path(error: passthrough.InvalidAddressError) -> Problem:
    title = "This path is not forwarded"
    if isinstance(error, passthrough.BlockedPathError):
        return Problem(HTTPStatus.FORBIDDEN, "closed-path", title, str(error))
    return Problem(HTTPStatus.BAD_REQUEST, "bad-path", title, str(error))


def _transient_problem(error: TransientError) -> Problem:
    retry_after = max(1, round(error.retry_after_seconds))
    if error.not_processed:
        return Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "not-now",
            "Intercom was not called",
            f"{error} Try again.",
            retry_after=retry_after,
        )
    return Problem(
        HTTPStatus.GATEWAY_TIMEOUT,
        "no-answer",
        "Intercom did not respond",
        f"{error} Whether Intercom processed the request is unknown. A request that only reads can be sent again.",
        retry_after=retry_after,
    )
