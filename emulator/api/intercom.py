"""The pretend Intercom: one app, its workspaces, and what happens to a call before and after it is answered."""

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from typing import Any
from urllib.parse import parse_qsl
from uuid import UUID

import msgspec

from emulator.api import bodies, mishaps, oauth
from emulator.api.calls import Answer, Call, Handler, version_of
from emulator.api.faults import ApiError, bad_request, error_list, not_found, unauthorized
from emulator.api.grants import Grants, bearer
from emulator.api.quirks import Quirks
from emulator.api.routes import handler_of
from emulator.api.tenant import Tenant
from emulator.engine import Engine
from emulator.errors import RefusedError, UnknownObjectError

# The prefixes under which the three regions' hosts are played.
REGIONS = ("us", "eu", "au")
# This one passes a call on to wherever its token is from.
_ANY_REGION = "us"

_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Request:
    """
    What came over HTTP.

    Attributes:
        region: the prefix, "us".
        path: what follows it, as Intercom's own.
        query: as sent, without the question mark.
        headers: by lower-case name.
        host: of this server, "127.0.0.1:8001".
    """

    method: str
    region: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    host: str = "127.0.0.1"


class Intercom:
    """
    Answers every call to the API of several workspaces. Safe for many threads.

    Args:
        engines: one for each workspace.
        client_id: of the one app.
        client_secrets: newest first; None: those that the notifications are signed with.
        quirks: see there; its attributes may be changed at any time.
        seed: of ids, codes, tokens and mishaps.
    """

    def __init__(
        self,
        engines: Sequence[Engine],
        client_id: str = "development",
        client_secrets: Sequence[str] | None = None,
        quirks: Quirks | None = None,
        seed: int | str = 1,
    ) -> None:
        self.quirks = quirks or Quirks()
        self.rng = random.Random(f"intercom {seed}")  # noqa: S311 -- it must be repeatable, it guards nothing
        self.tenants = {engine.workspace.workspace_id: Tenant(engine, self.quirks) for engine in engines}
        secrets = client_secrets or [engine.sender.route.client_secret for engine in engines]
        self.grants = Grants(client_id, tuple(secrets), self.tenants, self.rng)
        self._mishaps = mishaps.Mishaps(self.quirks, self.rng)

    def new_uuid(self) -> str:
        """Draw the id of a request or of a scroll."""
        return str(UUID(int=self.rng.getrandbits(128), version=4))

    def url(self, call: Call, path: str) -> str:
        """Return the whole address of a path of the API, as answers name it."""
        return f"http://{call.host}/{call.region}{path}"

    def change(self, wanted: Mapping[str, Any]) -> None:
        """
        Change quirks.

        Raises:
            RefusedError: see `Quirks.change`.
        """
        self.quirks.change(wanted)
        for tenant in self.tenants.values():
            with tenant.engine.lock:
                self._set_clock(tenant)
                tenant.forget_shown()

    def answer(self, request: Request) -> Answer:
        """Return what Intercom would; `content` is bytes."""
        request_id = self.new_uuid()
        try:
            answer = self._answered(request)
        except ApiError as error:
            answer = Answer(error.status, error_list(error.code, error.message, request_id), error.headers)
        return self._finished(answer, request_id)

    def _answered(self, request: Request) -> Answer:
        if request.path == "/oauth":
            return oauth.authorize(self, request)
        if (request.method, request.path) == ("POST", "/auth/eagle/token"):
            self._mishaps.wait()
            return oauth.exchange(self, request)
        token = bearer(request.headers.get("authorization"))
        tenant = self.tenants[self.grants.workspace_of(token)]
        if request.region not in (_ANY_REGION, tenant.workspace.region.lower()):
            raise unauthorized()
        if (request.method, request.path) == ("POST", "/auth/uninstall"):
            return oauth.uninstall(self, tenant)
        return self._called(request, tenant, token)

    def _called(self, request: Request, tenant: Tenant, token: str) -> Answer:
        headers: dict[str, str] = {}
        try:
            with tenant.engine.lock:
                tenant.calls[f"{request.method} {request.path}"] += 1
                self._set_clock(tenant)
                headers = tenant.window.take(self.quirks.rate_limit, tenant.clock() // 1000)
            version = version_of(request.headers.get("intercom-version") or self.quirks.default_version)
            handler, ids = handler_of(request.method, request.path)
            query, body = dict(parse_qsl(request.query, keep_blank_values=True)), bodies.json_object(request)
            call = Call(self, tenant, token, query, body, version, request.region, request.host)
            self._mishaps.wait()
            self._mishaps.before()
            found = _handled(handler, call, ids)
            self._mishaps.wait()
        except ApiError as error:
            error.headers |= headers
            raise
        answer = found if isinstance(found, Answer) else Answer(content=found)
        headers["Date"] = formatdate(tenant.clock() / 1000, usegmt=True)
        return self._mishaps.after(Answer(answer.status, _encoded(answer.content), {**answer.headers, **headers}))

    def _set_clock(self, tenant: Tenant) -> None:
        tenant.clock.shift_ms = round(self.quirks.clock_shift_seconds * 1000)

    def _finished(self, answer: Answer, request_id: str) -> Answer:
        headers = {
            "Content-Type": "application/json; charset=utf-8",
            "Date": formatdate(time.time() + self.quirks.clock_shift_seconds, usegmt=True),
            "X-Request-Id": request_id,
            **answer.headers,
        }
        return Answer(answer.status, _encoded(answer.content), headers)

    def later(self, action: Any, seconds: float = 0.0) -> None:
        """Do something beside the calls, at once or later."""
        timer = threading.Timer(seconds, action)
        timer.daemon = True
        timer.start()


def _handled(handler: Handler, call: Call, ids: list[str]) -> dict[str, Any] | Answer:
    try:
        with call.tenant.engine.lock:
            return handler(call, *ids)
    except UnknownObjectError as error:
        raise not_found(str(error)) from error
    except RefusedError as error:
        raise bad_request(str(error)) from error


def _encoded(content: Any) -> bytes:
    if content is None or isinstance(content, bytes):
        return content or b""
    return _encode(content)
