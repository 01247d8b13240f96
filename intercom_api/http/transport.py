"""Sending one request to Intercom, over connections that are kept open."""

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

# Seconds between bytes of an answer to a call that is passed on; Intercom's slowest searches take half a minute.
_PASSING_READ_SECONDS = 35.0

# Connections kept open per host; at 200 ms a call, 64 of them carry twice the calls that Intercom allows an app.
_POOL_SIZE = 64

# An answer, and how many seconds it took.
TimedResponse = tuple[requests.Response, float]


def session() -> requests.Session:
    """Return this process's pool of connections; a process that was forked from another has its own."""
    return _session(os.getpid())


@cache
def _session(_pid: int) -> requests.Session:
    made = requests.Session()
    # One session serves all threads and all tokens, so it must keep nothing from any answer.
    made.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
    adapter = HTTPAdapter(pool_connections=8, pool_maxsize=_POOL_SIZE)
    made.mount("https://", adapter)
    made.mount("http://", adapter)
    return made


class BearerAuth(requests.auth.AuthBase):
    """Puts a token into a request. Given with each one, so that no .netrc file replaces it; no repr shows it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def send(method: str, url: str, *, timeout: tuple[float, float], **rest: Any) -> TimedResponse:
    """
    Send one request.

    Returns:
        The answer, whatever its status, and how many seconds it took.

    Raises:
        TransientError: there was no answer.
    """
    # A redirect would carry the token to an address that nobody chose.
    return _timed(lambda: session().request(method, url, timeout=timeout, allow_redirects=False, **rest))


def send_prepared(
    request: requests.PreparedRequest, base_url: str, while_waiting: Callable[[], None] | None = None
) -> TimedResponse:
    """
    Send one request that is passed on, and return its answer before its body was read; raises as `send`.

    `while_waiting` is called once it is sent, while the answer is on its way; it must not raise.

    It goes straight to the connections: what a session does around it (redirects, cookies, hooks, and finding proxy and
    certificates anew) is not wanted here.
    """
    adapter, pool, proxies = _connections(os.getpid(), base_url)
    _meanwhile.work = while_waiting
    try:
        return _timed(
            lambda: _answer_of(
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
                    timeout=Timeout(connect=CONNECT_SECONDS, read=_PASSING_READ_SECONDS),
                )
            )
        )
    finally:
        _meanwhile.work = None


# What a thread does between a request and its answer.
_meanwhile = threading.local()


def _working_meanwhile(base: Any) -> Any:
    """Return the class of connections that is like `base`, and does what there is to do before it waits."""

    class Connection(base):  # type: ignore[misc]  # which class it is depends on the base address
        def getresponse(self) -> Any:
            """Wait for the answer, after what there is to do."""
            if (work := getattr(_meanwhile, "work", None)) is not None:
                work()
            return super().getresponse()

    return Connection


@cache
def _connections(_pid: int, base_url: str) -> tuple[HTTPAdapter, Any, Any]:
    """Return what calls to a base address go over, set up by what the environment says of proxies and certificates."""
    found = session().merge_environment_settings(base_url, {}, None, None, None)
    # One of its own, so that its connections are never given up in favour of those to other hosts.
    adapter: Any = HTTPAdapter(pool_connections=1, pool_maxsize=_POOL_SIZE)
    request = requests.Request("GET", base_url).prepare()
    pool = adapter.get_connection_with_tls_context(request, found["verify"], found["proxies"], found["cert"])
    pool.ConnectionCls = _working_meanwhile(pool.ConnectionCls)
    adapter.cert_verify(pool, base_url, found["verify"], found["cert"])
    return adapter, pool, found["proxies"]


def _answer_of(raw: Any) -> requests.Response:
    response = requests.Response()
    response.status_code, response.headers, response.raw = raw.status, CaseInsensitiveDict(raw.headers), raw
    return response


def _timed(send: Callable[[], requests.Response]) -> TimedResponse:
    began = time.monotonic()
    try:
        response = send()
    except (requests.RequestException, HTTPError) as error:
        # Neither the message nor the chain of errors is kept: they repeat the address, which may hold an e-mail.
        name, not_processed = type(error).__name__, _never_sent(error)
        raise TransientError(
            f"Intercom did not answer ({name}).", RETRY_PAUSE_SECONDS, not_processed=not_processed
        ) from None
    return response, time.monotonic() - began


def _never_sent(error: requests.RequestException | HTTPError) -> bool:
    if isinstance(error, requests.ConnectTimeout | NewConnectionError | ConnectTimeoutError):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)
