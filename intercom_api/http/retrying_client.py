"""Requests with a workspace's token, within the rate limit, repeated where that is safe."""

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
from intercom_api.http.replies import Reply, parse
from intercom_api.http.transport import CONNECT_SECONDS, BearerAuth, TimedResponse, send, send_prepared
from intercom_api.rate_limit.governor import Governor
from intercom_api.rate_limit.lanes import RETRY_POLICIES, Lane

log = structlog.get_logger()

# Seconds before the second attempt; doubled before each further one, up to the longest.
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 8.0


class RetryingClient:
    """
    Makes requests to one workspace with one token. Safe for threads.

    Args:
        token: the workspace's.
        base_url: of `intercom_api.http.regions`.
        version: sent as Intercom-Version with every request, which overrides the version set in the Developer Hub.
        governor: grants a rate-limit slot for each request.
        app: the client id; the rate limit is counted per app and workspace.
        workspace_id: see `app`.
        lane: the priority of the requests.
        pause: sleeps so many seconds; tests pass another one.
    """

    def __init__(  # noqa: PLR0913 -- the parts of a connection
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
        self._has_merge_history = not re.fullmatch(r"1\.\d+|2\.(\d|1[0-5])", version)
        self._auth = BearerAuth(token)
        self._base_url = base_url.rstrip("/")
        self._headers = {"Accept": "application/json", "Intercom-Version": version}
        self._governor = governor
        self._app = app
        self._pause = pause

    def request(  # noqa: PLR0913 -- the parts of a request
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
        Send a request to Intercom, and repeat it where that is safe and may help.

        Args:
            method: GET, POST ...
            path: below the base, beginning with a slash; ids in it are quoted.
            params: the query.
            json: the body.
            timeout: seconds to connect and to wait for a response; None for the lane's own.
            idempotent: whether repeating it is harmless; None: if it only reads.
            before_send: called each time a slot has been granted, directly before the request is sent.

        Raises:
            TransientError: no usable response after the attempts that the lane's policy allows.
            PermanentError: a refusal, by its class in `intercom_api.errors`.
        """
        repeatable = idempotent if idempotent is not None else is_read_only(method, path)
        rest: dict[str, Any] = {"params": params, "json": json, "headers": self._headers, "auth": self._auth}
        seconds = timeout or (CONNECT_SECONDS, RETRY_POLICIES[self.lane].read_timeout_seconds)

        def send_once() -> TimedResponse:
            if before_send is not None:
                before_send()
            return send(method, self._base_url + path, timeout=seconds, **rest)

        return self._with_retries(send_once, repeatable=repeatable)

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
        Send a caller's request once, and return the response unchanged; see `intercom_api.http.passthrough`.

        Args:
            method: of HTTP.
            path: as returned by `check_path`.
            query: as returned by `check_query`.
            headers: as returned by `filter_request_headers`.
            body: unchanged; None or empty for none.
            while_waiting: called once the request is sent, before the response is read; it must not raise.

        Raises:
            InvalidAddressError: the address would lead to another host or path.
            TransientError: no slot in time, or no response.
        """
        request = passthrough.prepare_request(
            method, self._base_url, path, query, {**self._headers, **headers}, body, self._auth
        )
        prefetch = self.lane is Lane.INTERACTIVE
        slot = self._governor.acquire(self._app, self.workspace_id, self.lane, prefetched=prefetch)
        until = time.monotonic() + passthrough.TOTAL_TIMEOUT_SECONDS
        try:
            response, seconds = send_prepared(request, self._base_url, while_waiting)
        except BaseException:
            self._record_response(None, slot)
            raise
        record_response: Callable[[], None] = partial(self._record_response, response, slot, prefetch=prefetch)
        if response.status_code == requests.codes.too_many_requests:
            # Recorded at once, so that no other request is sent into the refusal.
            record_response()
            record_response = _do_nothing
        return ProxiedResponse(response, seconds, until, record_response)

    def _with_retries(self, send_once: Callable[[], TimedResponse], *, repeatable: bool) -> Reply:
        """
        Send a request until it succeeds or may not be repeated.

        1. Wait for a rate-limit slot; if there is none in time, give up, as the lane's whole wait has passed.
        2. Send, report the response to the governor, and parse it; a good one is returned.
        3. After a `TransientError`, give up if the attempts are used, or if the request may have been processed and
           repeating it is not harmless.
        4. Wait (the governor itself delays after a 429), and go on at step 1.
        """
        for attempt in count(1):
            slot = self._governor.acquire(self._app, self.workspace_id, self.lane)
            try:
                return self._send_once(send_once, slot)
            except TransientError as error:
                if attempt == RETRY_POLICIES[self.lane].attempts or not (repeatable or error.not_processed):
                    raise
                log.info(
                    "retrying the request to Intercom", error=str(error), request_id=error.request_id, tried=attempt
                )
                self._wait_before_retry(error, attempt)
        raise AssertionError  # `count` never ends.

    def _send_once(self, send_once: Callable[[], TimedResponse], slot: int | None) -> Reply:
        response = None
        try:
            response, duration = send_once()
        finally:
            self._record_response(response, slot)
        return parse(response, duration)

    def _record_response(self, response: requests.Response | None, slot: int | None, *, prefetch: bool = False) -> None:
        headers = None if response is None else response.headers
        refused = response is not None and response.status_code == requests.codes.too_many_requests
        self._governor.record_response(
            self._app, self.workspace_id, headers, slot=slot, refused=refused, prefetch=prefetch
        )

    def _wait_before_retry(self, error: TransientError, attempt: int) -> None:
        pause = min(_FIRST_PAUSE * 2 ** (attempt - 1), _LONGEST_PAUSE)
        if error.retry_after_seconds > _LONGEST_PAUSE and not error.not_processed:
            raise error
        # After a 429 the governor delays the next request as long as needed.
        if not error.not_processed:
            self._pause(max(pause, error.retry_after_seconds) * random.uniform(0.5, 1))  # noqa: S311 -- no secret


def _do_nothing() -> None:
    """Replace `record_response` where the response has already been recorded."""
