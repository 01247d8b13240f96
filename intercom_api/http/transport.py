"""Sends single requests to Intercom over connections that are kept open."""

import os
import threading
import time
from collections.abc import Callable
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from requests.structures import CaseInsensitiveDict
from urllib3 import Timeout
from urllib3.exceptions import ConnectTimeoutError, HTTPError, NewConnectionError

from intercom_api.errors import TransientError
from intercom_api.http.replies import RETRY_PAUSE_SECONDS

# Seconds for a connection to be made; a healthy host takes a tenth.
CONNECT_SECONDS = 5.0

# Seconds between bytes of the response to a forwarded request; Intercom's slowest searches take half a minute.
_FORWARDED_READ_SECONDS = 35.0

# Connections kept open per host; at 200 ms a call, 64 of them carry twice the calls that Intercom allows an app.
_POOL_SIZE = 64

# A response, and how many seconds it took.
TimedResponse = tuple[requests.Response, float]


def session() -> requests.Session:
    """Return this process's session; a forked process gets one of its own."""
    return _session(os.getpid())


@cache
def _session(_pid: int) -> requests.Session:
    made = requests.Session()
    # One session serves all threads and all tokens, so it must keep nothing from any response.
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    adapter = HTTPAdapter(pool_connections=8, pool_maxsize=_POOL_SIZE)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


class BearerAuth(requests.auth.AuthBase):
    """Adds a token to a request. Passed with each request, so no .netrc file replaces it; its repr does not show it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def send(method: str, url: str, *, timeout: tuple[float, float], **rest: Any) -> TimedResponse:
    """
    Send one request.

    Args:
        method: of HTTP.
        url: the whole address.
        timeout: seconds to connect, and between bytes of the response.
        rest: passed to `requests.Session.request`.

    Returns:
        The response, whatever its status, and how many seconds it took.

    Raises:
        TransientError: there was no response.
    """
    # A redirect could carry the token to another host.
    return _timed(lambda: session().request(method, url, timeout=timeout, allow_redirects=False, **rest))


def send_prepared(
    request: requests.PreparedRequest, base_url: str, while_waiting: Callable[[], None] | None = None
) -> TimedResponse:
    """
    Send one forwarded request, and return its response before the body is read; raises as `send`.

    It bypasses the session, whose other work (redirects, cookies, hooks, looking up proxy and certificates for each
    request) is not needed here.

    Args:
        request: made by `intercom_api.http.passthrough.prepare_request`.
        base_url: the base address that the request is below.
        while_waiting: called once the request is sent, before the response is read; it must not raise.
    """
    adapter, pool, proxies = _connections(os.getpid(), base_url)
    _thread_local.while_waiting = while_waiting
    try:
        return _timed(
            lambda: _as_response(
                pool.urlopen(
                    request.method or "GET",
                    adapter.request_url(request, proxies),
                    request.body,
                    request.headers,
                    redirect=False,
                    assert_same_host=False,
                    preload_content=False,
                    decode_content=False,
                    retries=False,
                    timeout=Timeout(connect=CONNECT_SECONDS, read=_FORWARDED_READ_SECONDS),
                )
            )
        )
    finally:
        _thread_local.while_waiting = None


# `while_waiting` of the request that the thread is sending.
_thread_local = threading.local()


def _with_callback(base: Any) -> Any:
    """Return a subclass of a connection class that calls `while_waiting` between a request and its response."""

    class Connection(base):  # type: ignore[misc]  # which class it is depends on the base address
        def getresponse(self) -> Any:
            """Call `while_waiting`, then read the response."""
            if (while_waiting := getattr(_thread_local, "while_waiting", None)) is not None:
                while_waiting()
            return super().getresponse()

    return Connection


@cache
def _connections(_pid: int, base_url: str) -> tuple[HTTPAdapter, Any, Any]:
    """Return adapter, connection pool and proxies for a base address, with the environment's proxy and certificates."""
    environment = session().merge_environment_settings(base_url, {}, None, None, None)
    # An adapter of its own, so its connections are never dropped in favour of those to other hosts.
    adapter: Any = HTTPAdapter(pool_connections=1, pool_maxsize=_POOL_SIZE)
    request = requests.Request("GET", base_url).prepare()
    pool = adapter.get_connection_with_tls_context(
        request, environment["verify"], environment["proxies"], environment["cert"]
    )
    pool.ConnectionCls = _with_callback(pool.ConnectionCls)
    adapter.cert_verify(pool, base_url, environment["verify"], environment["cert"])
    return adapter, pool, environment["proxies"]


def _as_response(raw: Any) -> requests.Response:
    response = requests.Response()
    response.status_code, response.headers, response.raw = raw.status, CaseInsensitiveDict(raw.headers), raw
    return response


def _timed(call: Callable[[], requests.Response]) -> TimedResponse:
    began = time.monotonic()
    try:
        response = call()
    except (requests.RequestException, HTTPError) as error:
        # Neither the message nor the chain of errors is kept: they repeat the address, which may hold an e-mail.
        name, never_sent = type(error).__name__, _never_sent(error)
        raise TransientError(
            f"Intercom did not respond ({name}).", RETRY_PAUSE_SECONDS, not_processed=never_sent
        ) from None
    return response, time.monotonic() - began


def _never_sent(error: requests.RequestException | HTTPError) -> bool:
    if isinstance(error, requests.ConnectTimeout | NewConnectionError | ConnectTimeoutError):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)
