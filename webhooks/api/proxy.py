"""Any endpoint of Intercom's, on behalf of the connected user: /api/proxy/contacts stands for Intercom's /contacts."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

from flask import Response, request

from intercom_api.errors import TransientError
from intercom_api.http import passthrough
from webhooks.api import auth
from webhooks.api.problems import Problem, api
from webhooks.serving.request_body import read_whole_body
from webhooks.serving.wsgi_bridge import AFTERWARDS_KEY, STREAMING_KEY

if TYPE_CHECKING:
    from intercom_api.http.passthrough import ProxiedResponse

PREFIX = "/api/proxy"

# Bytes of a call's body. Intercom's largest are articles and bulk jobs, below a megabyte; pictures go by address.
MAX_BODY_BYTES = 4 * 1024 * 1024

# An answer of Intercom's is data, also if it says that it is a page.
_INERT = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
}
_REDIRECTS = frozenset({301, 302, 303, 305, 306, 307, 308})


def _desk() -> Any:
    # It loads SQL, which a process that only receives does without.
    from webhooks.api import acting_services  # noqa: PLC0415

    return acting_services


@api.route("/proxy/<path:path>", methods=["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"], merge_slashes=False)
def proxy(path: str) -> Response:
    """Pass a call on, have the mirror learn from the answer, and pass that back."""
    del path
    asking = auth.caller()
    workspace_id = auth.workspace_for(asking)
    passed_path, query = _address()
    body = _body()
    given = {name: value for name in passthrough.REQUEST_HEADERS if (value := request.headers.get(name)) is not None}
    headers = passthrough.filter_request_headers(given)
    try:
        address = passed_path, query
        passed = _desk().pass_on(asking.user_id, workspace_id, request.method, address, headers, body)
    except passthrough.InvalidAddressError as error:
        raise _refused(error) from None
    except TransientError as error:
        raise _no_answer(error) from None
    _afterwards(passed.record_response)
    if passed.status in _REDIRECTS:
        passed.close()
        raise Problem(
            HTTPStatus.BAD_GATEWAY,
            "redirected",
            "Intercom redirects",
            f"Intercom answered {passed.status} and another address. Redirects are not followed here.",
        )
    return _answer(workspace_id, passed_path, passed)


def _afterwards(work: Callable[[], None]) -> None:
    waiting = request.environ.get(AFTERWARDS_KEY)
    if waiting is None:
        work()
    else:
        waiting.append(work)


def _address() -> tuple[str, str]:
    # The path as it was decoded once, before Flask's router could read anything into it.
    raw = request.environ["PATH_INFO"].encode("latin-1")
    try:
        decoded = raw.decode("utf-8")[len(PREFIX) + 1 :]
        return passthrough.check_path(decoded), passthrough.check_query(request.environ["QUERY_STRING"])
    except UnicodeDecodeError:
        raise _refused(passthrough.InvalidAddressError("The path is not UTF-8.")) from None
    except passthrough.InvalidAddressError as error:
        raise _refused(error) from None


def _body() -> bytes | None:
    environ = request.environ
    if not environ.get("CONTENT_LENGTH") and "HTTP_TRANSFER_ENCODING" not in environ:
        return None
    return read_whole_body(environ, MAX_BODY_BYTES)


def _answer(workspace_id: str, path: str, passed: "ProxiedResponse") -> Response:
    headers = {**passthrough.filter_response_headers(passed.headers), **_INERT}
    try:
        content = _desk().learned(workspace_id, request.method, path, passed)
    except passthrough.ResponseTooLongError:
        raise Problem(
            HTTPStatus.BAD_GATEWAY,
            "answer-too-long",
            "Intercom's answer is too long",
            "Ask for less at once: a smaller page.",
        ) from None
    except TransientError as error:
        raise _no_answer(error) from None
    body: bytes | Iterable[bytes] = content if content is not None else passed.chunks()
    response = Response(body, passed.status, headers)
    if content is None and passed.length is not None:
        response.content_length = passed.length
        response.call_on_close(passed.close)
        request.environ[STREAMING_KEY] = True
    if "Content-Type" not in headers:
        del response.headers["Content-Type"]
    return response


def _refused(error: passthrough.InvalidAddressError) -> Problem:
    if isinstance(error, passthrough.BlockedPathError):
        return Problem(HTTPStatus.FORBIDDEN, "closed-path", "This path is not passed on", str(error))
    return Problem(HTTPStatus.BAD_REQUEST, "bad-path", "This path is not passed on", str(error))


def _no_answer(error: TransientError) -> Problem:
    retry_after = max(1, round(error.retry_after_seconds))
    if error.not_processed:
        return Problem(
            HTTPStatus.TOO_MANY_REQUESTS,
            "not-now",
            "Intercom was not asked",
            f"{error} Ask again.",
            retry_after=retry_after,
        )
    return Problem(
        HTTPStatus.GATEWAY_TIMEOUT,
        "no-answer",
        "Intercom did not answer",
        f"{error} Whether it did what was asked is not known. What only reads can be asked again.",
        retry_after=retry_after,
    )
