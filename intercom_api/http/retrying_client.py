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
from intercom_api.http.passthrough import ProxiedResponse
from intercom_api.http.read_only import is_read_only
from intercom_api.http.replies import Reply, read
from intercom_api.http.transport import CONNECT_SECONDS, BearerAuth, TimedResponse, send, send_prepared
from intercom_api.rate_limit.governor import Governor
from intercom_api.rate_limit.lanes import RETRY_POLICIES, Lane

log = structlog.get_logger()

# Seconds before the second try; doubled before each further one, up to the longest.
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0


class RetryingClient:
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
        self._auth = BearerAuth(token)
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
        idempotent: bool | None = None,
        before_send: Callable[[], None] | None = None,
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
        harmless = idempotent if idempotent is not None else is_read_only(method, path)
        rest: dict[str, Any] = {"params": params, "json": json, "headers": self._headers, "auth": self._auth}
        seconds = timeout or (CONNECT_SECONDS, RETRY_POLICIES[self.lane].read_timeout_seconds)

        def call() -> TimedResponse:
            """Send it once."""
            if before_send is not None:
                before_send()
            return send(method, self._base_url + path, timeout=seconds, **rest)

        return self._with_retries(call, harmless=harmless)

    def forward(
        self,
        method: str,
        path: str,
        query: str,
        headers: Mapping[str, str],
        body: bytes | None,
        while_waiting: Callable[[], None] | None = None,
    ) -> ProxiedResponse:
        """
        Say once what somebody else wrote, and return the answer as it is; see `intercom_api.http.passthrough`.

        Args:
            method: of HTTP.
            path: by `check_path`.
            query: by `check_query`.
            headers: by `filter_request_headers`.
            body: as it is; None or empty for none.
            meanwhile: what to do while the answer is on its way; it must not raise.

        Raises:
            AddressError: it would go elsewhere.
            TransientError: no allowance, or no answer.
        """
        request = passthrough.prepare_request(
            method, self._base_url, path, query, {**self._headers, **headers}, body, self._auth
        )
        return self._send_on(request, while_waiting)

    def _send_on(self, request: requests.PreparedRequest, while_waiting: Callable[[], None] | None) -> ProxiedResponse:
        ahead = self.lane is Lane.INTERACTIVE
        slot = self._governor.acquire(self._app, self.workspace_id, self.lane, ahead=ahead)
        until = time.monotonic() + passthrough.TOTAL_TIMEOUT_SECONDS
        try:
            response, seconds = send_prepared(request, self._base_url, while_waiting)
        except BaseException:
            self._learn(None, slot)
            raise
        record_response: Callable[[], None] = partial(self._learn, response, slot, ahead=ahead)
        if response.status_code == requests.codes.too_many_requests:
            # Whoever calls next must know it.
            record_response()
            record_response = _nothing
        return ProxiedResponse(response, seconds, until, record_response)

    def _with_retries(self, call: Callable[[], TimedResponse], *, harmless: bool) -> Reply:
        for tried in count(1):
            # Whoever is not let through here has waited long enough.
            slot = self._governor.acquire(self._app, self.workspace_id, self.lane)
            try:
                return self._once(call, slot)
            except TransientError as error:
                if tried == RETRY_POLICIES[self.lane].attempts or not (harmless or error.not_processed):
                    raise
                log.info("asking Intercom again", error=str(error), request_id=error.request_id, tried=tried)
                self._wait_to_repeat(error, tried)
        raise AssertionError  # It counts on and on.

    def _once(self, call: Callable[[], TimedResponse], slot: int | None) -> Reply:
        response = None
        try:
            response, duration = call()
        finally:
            self._learn(response, slot)
        return read(response, duration)

    def _learn(self, response: requests.Response | None, slot: int | None, *, ahead: bool = False) -> None:
        headers = None if response is None else response.headers
        refused = response is not None and response.status_code == requests.codes.too_many_requests
        self._governor.record_response(self._app, self.workspace_id, headers, slot=slot, refused=refused, ahead=ahead)

    def _wait_to_repeat(self, error: TransientError, tried: int) -> None:
        pause = min(_FIRST_PAUSE * 2 ** (tried - 1), _LONGEST_PAUSE)
        if error.retry_after_seconds > _LONGEST_PAUSE and not error.not_processed:
            raise error
        # After 429 the governor knows for how long.
        if not error.not_processed:
            self._pause(max(pause, error.retry_after_seconds) * random.uniform(0.5, 1))  # noqa: S311 -- no secret


def _nothing() -> None:
    """Stand in for what was done already."""
