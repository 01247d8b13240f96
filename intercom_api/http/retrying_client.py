"""Calling Intercom as someone, and again what may be repeated."""

import random
import re
import time
from collections.abc import Callable, Mapping
from functools import partial
from itertools import count
from typing import Any

import requests
import structlog

from intercom_api.errors import TransientError
from intercom_api.http import passthrough
from intercom_api.http.passthrough import Passed
from intercom_api.http.read_only import is_read_only
from intercom_api.http.replies import Reply, read
from intercom_api.http.transport import CONNECT_SECONDS, Bearer, Sent, send, send_prepared
from intercom_api.rate_limit.governor import Governor
from intercom_api.rate_limit.lanes import PATIENCE, Lane

log = structlog.get_logger()

# Seconds before the second try; doubled before each further one, up to the longest.
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0


class Caller:
    """
    Calls one workspace with one token. Safe for threads.

    Args:
        token: the workspace's.
        base_url: of `intercom_api.http.regions`.
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
        harmless = repeat if repeat is not None else is_read_only(method, path)
        rest: dict[str, Any] = {"params": params, "json": json, "headers": self._headers, "auth": self._auth}
        seconds = timeout or (CONNECT_SECONDS, PATIENCE[self.lane].read_seconds)

        def call() -> Sent:
            """Send it once."""
            if sending is not None:
                sending()
            return send(method, self._base_url + path, timeout=seconds, **rest)

        return self._patiently(call, harmless=harmless)

    def pass_on(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | None,
        meanwhile: Callable[[], None] | None = None,
    ) -> Passed:
        """
        Say once what somebody else wrote, and return the answer as it is; see `intercom_api.http.passthrough`.

        Args:
            method: of HTTP.
            path: by `checked_path`.
            query: by `checked_query`.
            headers: by `request_headers`.
            body: as it is; None or empty for none.
            meanwhile: what to do while the answer is on its way; it must not raise.

        Raises:
            AddressError: it would go elsewhere.
            TransientError: no allowance, or no answer.
        """
        request = passthrough.prepared(
            method, self._base_url, path, query, {**self._headers, **headers}, body, self._auth
        )
        return self._send_on(request, meanwhile)

    def _send_on(self, request: requests.PreparedRequest, meanwhile: Callable[[], None] | None) -> Passed:
        ahead = self.lane is Lane.INTERACTIVE
        permit = self._governor.wait(self._app, self.workspace_id, self.lane, ahead=ahead)
        until = time.monotonic() + passthrough.LONGEST_SECONDS
        try:
            response, seconds = send_prepared(request, self._base_url, meanwhile)
        except BaseException:
            self._learn(None, permit)
            raise
        learn: Callable[[], None] = partial(self._learn, response, permit, ahead=ahead)
        if response.status_code == requests.codes.too_many_requests:
            # Whoever calls next must know it.
            learn()
            learn = _nothing
        return Passed(response, seconds, until, learn)

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

    def _learn(self, response: requests.Response | None, permit: int | None, *, ahead: bool = False) -> None:
        headers = None if response is None else response.headers
        refused = response is not None and response.status_code == requests.codes.too_many_requests
        self._governor.learn(self._app, self.workspace_id, headers, permit=permit, refused=refused, ahead=ahead)

    def _wait_to_repeat(self, error: TransientError, tried: int) -> None:
        pause = min(_FIRST_PAUSE * 2 ** (tried - 1), _LONGEST_PAUSE)
        if error.retry_after_seconds > _LONGEST_PAUSE and not error.untouched:
            raise error
        # After 429 the governor knows for how long.
        if not error.untouched:
            self._pause(max(pause, error.retry_after_seconds) * random.uniform(0.5, 1))  # noqa: S311 -- no secret


def _nothing() -> None:
    """Stand in for what was done already."""
