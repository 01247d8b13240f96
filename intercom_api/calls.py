"""Calling Intercom: send, send as someone, and send again what may be repeated."""

import os
import random
import re
import time
from collections.abc import Callable, Mapping
from functools import cache
from http.cookiejar import DefaultCookiePolicy
from itertools import count
from typing import Any

import requests
import structlog
from requests.adapters import HTTPAdapter
from urllib3.exceptions import NewConnectionError

from intercom_api import passing
from intercom_api.answers import PAUSE_SECONDS, Reply, read
from intercom_api.errors import TransientError
from intercom_api.governor import Governor
from intercom_api.lanes import PATIENCE, Lane
from intercom_api.passing import Passed

log = structlog.get_logger()

# Seconds for a connection to be made; a healthy host takes a tenth.
CONNECT_SECONDS = 5.0

# Seconds between bytes of an answer to a call that is passed on; Intercom's slowest searches take half a minute.
_PASSING_READ_SECONDS = 35.0

# Connections kept open per host; at 200 ms a call, 64 of them carry twice the calls that Intercom allows an app.
_POOL_SIZE = 64

# Seconds before the second try; doubled before each further one, up to the longest.
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0

# Methods that change nothing, and addresses that are only asked although they are POSTed to.
_READING = frozenset({"GET", "HEAD"})
_ASKING = frozenset({"/contacts/search", "/companies/list", "/companies/search"})

# An answer, and how many seconds it took.
Sent = tuple[requests.Response, float]


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


class Bearer(requests.auth.AuthBase):
    """Puts a token into a request. Given with each one, so that no .netrc file replaces it; no repr shows it."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        """Add the header."""
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def send(method: str, url: str, *, timeout: tuple[float, float], **rest: Any) -> Sent:
    """
    Send one request.

    Returns:
        The answer, whatever its status, and how many seconds it took.

    Raises:
        TransientError: there was no answer.
    """
    began = time.monotonic()
    try:
        # A redirect would carry the token to an address that nobody chose.
        response = session().request(method, url, timeout=timeout, allow_redirects=False, **rest)
    except requests.RequestException as error:
        # Neither the message nor the chain of errors is kept: they repeat the address, which may hold an e-mail.
        name, untouched = type(error).__name__, _never_sent(error)
        raise TransientError(f"Intercom did not answer ({name}).", PAUSE_SECONDS, untouched=untouched) from None
    return response, time.monotonic() - began


def _never_sent(error: requests.RequestException) -> bool:
    if isinstance(error, requests.ConnectTimeout):
        return True
    cause = error.args[0] if error.args else None
    return isinstance(getattr(cause, "reason", None), NewConnectionError)


class Caller:
    """
    Calls one workspace with one token. Safe for threads.

    Args:
        token: the workspace's.
        base_url: of `intercom_api.hosts`.
        version: sent as Intercom-Version with every call, so that the Developer Hub's does not matter.
        governor: who says when.
        app: the client id; the allowance is counted per app and workspace.
        workspace_id: as said.
        lane: who is called for.
        pause: sleeps so many seconds; tests pass another one.
    """

    def __init__(  # noqa: PLR0913 -- a connection has as many sides
        self,
        token: str,
        base_url: str,
        *,
        version: str,
        governor: Governor,
        app: str,
        workspace_id: str,
        lane: Lane,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.workspace_id = workspace_id
        self.lane = lane
        self._tells_merges = not re.fullmatch(r"1\.\d+|2\.(\d|1[0-5])", version)
        self._auth = Bearer(token)
        self._base_url = base_url.rstrip("/")
        self._headers = {"Accept": "application/json", "Intercom-Version": version}
        self._governor = governor
        self._app = app
        self._pause = pause

    def request(  # noqa: PLR0913 -- a call has as many sides
        self,
        method: str,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        json: Any = None,
        timeout: tuple[float, float] | None = None,
        repeat: bool | None = None,
        sending: Callable[[], None] | None = None,
    ) -> Reply:
        """
        Say something to Intercom, again where that is harmless and may help.

        Args:
            method: GET, POST ...
            path: below the base, beginning with a slash; ids in it are quoted.
            params: the query.
            json: the body.
            timeout: seconds to connect and to wait for an answer; None for the lane's own.
            repeat: whether saying it twice is harmless; None: if it only asks.
            sending: called each time the allowance is there and the next thing is to send it.

        Raises:
            TransientError: no good answer, and no more patience.
            PermanentError: a refusal, by its class in `intercom_api.errors`.
        """
        harmless = repeat if repeat is not None else method in _READING or path in _ASKING
        rest: dict[str, Any] = {
            "params": params,
            "json": json,
            "headers": self._headers,
            "auth": self._auth,
            "timeout": timeout or (CONNECT_SECONDS, PATIENCE[self.lane].read_seconds),
        }

        def call() -> Sent:
            if sending is not None:
                sending()
            return send(method, self._base_url + path, **rest)

        return self._patiently(call, harmless=harmless)

    def pass_on(self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes | None) -> Passed:
        """
        Say once what somebody else wrote, and return the answer as it is; see `intercom_api.passing`.

        Args:
            method: of HTTP.
            path: by `checked_path`.
            query: by `checked_query`.
            headers: by `request_headers`.
            body: as it is; None or empty for none.

        Raises:
            AddressError: it would go elsewhere.
            TransientError: no allowance, or no answer.
        """
        whole = passing.address(self._base_url, path, query)
        rest = passing.rest_of_call({**self._headers, **headers}, body, self._auth)
        permit = self._governor.wait(self._app, self.workspace_id, self.lane)
        until = time.monotonic() + passing.LONGEST_SECONDS
        response = None
        try:
            response, seconds = send(method, whole, timeout=(CONNECT_SECONDS, _PASSING_READ_SECONDS), **rest)
        finally:
            self._learn(response, permit)
        return Passed(response, seconds, until)

    def _patiently(self, call: Callable[[], Sent], *, harmless: bool) -> Reply:
        for tried in count(1):
            # Whoever is not let through here has waited long enough.
            permit = self._governor.wait(self._app, self.workspace_id, self.lane)
            try:
                return self._once(call, permit)
            except TransientError as error:
                if tried == PATIENCE[self.lane].tries or not (harmless or error.untouched):
                    raise
                log.info("asking Intercom again", error=str(error), request_id=error.request_id, tried=tried)
                self._wait_to_repeat(error, tried)
        raise AssertionError  # It counts on and on.

    def _once(self, call: Callable[[], Sent], permit: int | None) -> Reply:
        response = None
        try:
            response, duration = call()
        finally:
            self._learn(response, permit)
        return read(response, duration)

    def _learn(self, response: requests.Response | None, permit: int | None) -> None:
        headers = None if response is None else response.headers
        refused = response is not None and response.status_code == requests.codes.too_many_requests
        self._governor.learn(self._app, self.workspace_id, headers, permit=permit, refused=refused)

    def _wait_to_repeat(self, error: TransientError, tried: int) -> None:
        pause = min(_FIRST_PAUSE * 2 ** (tried - 1), _LONGEST_PAUSE)
        if error.retry_after_seconds > _LONGEST_PAUSE and not error.untouched:
            raise error
        # After 429 the governor knows for how long.
        if not error.untouched:
            self._pause(max(pause, error.retry_after_seconds) * random.uniform(0.5, 1))  # noqa: S311 -- no secret
