"""The emulated Intercom: one app, its workspaces, and the steps around each API call."""

import random
import time
from collections.abc import Mapping, Sequence
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl

import msgspec

from emulator.api.access_tokens import AccessTokens, bearer_token
from emulator.api.api_call import ApiCall, Handler, parse_version
from emulator.api.api_errors import ApiError, bad_request, error_list, not_found, unauthorized
from emulator.api.api_request import ApiRequest, ApiResponse
from emulator.api.behaviour_switches import BehaviourSwitches
from emulator.api.injected_faults import ApiFaults
from emulator.api.oauth import OAuth
from emulator.api.route_table import find_route
from emulator.api.workspace_api import WorkspaceApi
from emulator.errors import RefusedError, UnknownObjectError
from emulator.random_choice import random_uuid
from emulator.simulation import Simulation
from intercom_api.wire.times import MS_PER_SECOND

# The path prefixes that stand for the hosts of Intercom's three regions.
REGIONS = ("us", "eu", "au")
# Intercom's US host accepts tokens of every region and forwards the call.
_ANY_REGION = "us"

_encode = msgspec.json.Encoder().encode


class IntercomEmulator:
    """
    Handles every call to the API of several workspaces. Thread-safe.

    Args:
        simulations: one for each workspace.
        client_id: the client id of the app.
        client_secrets: the client secrets of the app, newest first; None: the secrets that sign the notifications.
        switches: how the API behaves; its attributes may change at any time.
        seed: the seed of ids, OAuth codes, tokens and faults.
    """

    def __init__(
        self,
        simulations: Sequence[Simulation],
        client_id: str = "development",
        client_secrets: Sequence[str] | None = None,
        switches: BehaviourSwitches | None = None,
        seed: int | str = 1,
    ) -> None:
        self.switches = switches or BehaviourSwitches()
        self.workspace_apis = {each.workspace.workspace_id: WorkspaceApi(each, self.switches) for each in simulations}
        self._rng = random.Random(f"intercom {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
        secrets = client_secrets or [each.sender.target.client_secret for each in simulations]
        self.access_tokens = AccessTokens(client_id, tuple(secrets), self.workspace_apis, self._rng)
        self.oauth = OAuth(self.access_tokens, self.workspace_apis, self.switches)
        self._faults = ApiFaults(self.switches, self._rng)

    def change(self, changes: Mapping[str, Any]) -> None:
        """
        Change some behaviour switches.

        Raises:
            RefusedError: an unknown switch or an impossible value; nothing is changed.
        """
        self.switches.change(changes)
        for api in self.workspace_apis.values():
            with api.simulation.lock:
                self._set_clock(api)
                api.clear_cache()

    def respond(self, request: ApiRequest) -> ApiResponse:
        """Return the response that Intercom would give; its `content` is bytes."""
        request_id = random_uuid(self._rng)
        try:
            response = self._dispatch(request)
        except ApiError as error:
            response = ApiResponse(error.status, error_list(error.code, error.message, request_id), error.headers)
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Date": formatdate(time.time() + self.switches.clock_shift_seconds, usegmt=True),
            "X-Request-Id": request_id,
            **response.headers,
        }
        return ApiResponse(response.status, _encode_content(response.content), headers)

    def _dispatch(self, request: ApiRequest) -> ApiResponse:
        if request.path == "/oauth":
            return self.oauth.authorize(request)
        if (request.method, request.path) == ("POST", "/auth/eagle/token"):
            self._faults.wait()
            return self.oauth.exchange(request)
        token = bearer_token(request.headers.get("authorization"))
        api = self.workspace_apis[self.access_tokens.workspace_of(token)]
        if request.region not in (_ANY_REGION, api.workspace.region.lower()):
            raise unauthorized()
        if (request.method, request.path) == ("POST", "/auth/uninstall"):
            return self.oauth.uninstall(api)
        return self._call(request, api)

    def _call(self, request: ApiRequest, api: WorkspaceApi) -> ApiResponse:
        """
        Handle a call to a workspace.

        1. Count the call against the rate limit.
        2. Read the version, the route, the parameters and the body.
        3. Wait half of the latency, then perhaps fail before anything is done.
        4. Run the handler.
        5. Wait the other half, then perhaps lose or damage the response.

        Every response, errors included, carries the headers of the rate limit.
        """
        headers: dict[str, str] = {}
        try:
            with api.simulation.lock:
                api.calls[f"{request.method} {request.path}"] += 1
                self._set_clock(api)
                headers = api.rate_limit.count_call(self.switches.rate_limit, api.clock() // MS_PER_SECOND)
            version = parse_version(request.headers.get("intercom-version") or self.switches.default_version)
            handler, ids = find_route(request.method, request.path)
            query, body = dict(parse_qsl(request.query, keep_blank_values=True)), request.json_object()
            call = ApiCall(api, self._rng, query, body, version, request.region, request.host)
            self._faults.wait()
            self._faults.fail_before()
            result = _run_handler(handler, call, ids)
            self._faults.wait()
        except ApiError as error:
            error.headers |= headers
            raise
        response = result if isinstance(result, ApiResponse) else ApiResponse(content=result)
        headers["Date"] = formatdate(api.clock() / MS_PER_SECOND, usegmt=True)
        content, headers = _encode_content(response.content), {**response.headers, **headers}
        return self._faults.damage(ApiResponse(response.status, content, headers))

    def _set_clock(self, api: WorkspaceApi) -> None:
        api.clock.shift_ms = round(self.switches.clock_shift_seconds * MS_PER_SECOND)


def _run_handler(handler: Handler, call: ApiCall, ids: list[str]) -> dict[str, Any] | ApiResponse:
    try:
        with call.api.simulation.lock:
            return handler(call, *ids)
    except UnknownObjectError as error:
        raise not_found(str(error)) from error
    except RefusedError as error:
        raise bad_request(str(error)) from error


def _encode_content(content: Any) -> bytes:
    if content is None or isinstance(content, bytes):
        return content or b""
    return _encode(content)
