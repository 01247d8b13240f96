"""/api/endpoints: endpoints of outgoing webhooks. A user manages their own; the operator all."""

from http import HTTPStatus
from typing import Any

import msgspec
from flask import Response, request

from webhooks.api import auth
from webhooks.api.problems import Problem, api, bad_query, integer_parameter, json_response
from webhooks.serving.request_body import read_whole_body

# Bytes; an address and three short lists.
MAX_BODY_BYTES = 16 * 1024
# Deliveries in one response.
DEFAULT_LIMIT, MAX_LIMIT = 100, 500
STATES = ("waiting", "delivered", "failed")
_MAX_ID = 2**63 - 1


class _EndpointInput(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    types: list[str] = []
    ops: list[str] = []
    sources: list[str] = []


@api.get("/endpoints")
def list_endpoints() -> Response:
    """List the caller's endpoints, the oldest first; for the operator alone, all endpoints."""
    caller = auth.authenticate()
    rows = _services().endpoints(_reader(), caller.user_id)
    return json_response({"endpoints": [_view(row) for row in rows]})


@api.post("/endpoints")
def add_endpoint() -> Response:
    """Add an endpoint: `url`, and the filters `types`, `ops`, `sources`. Only this response contains its `secret`."""
    caller = auth.authenticate()
    given = _input()
    services = _services()
    try:
        new = services.NewEndpoint(given.url, given.types, given.ops, given.sources)
        row, secret = services.add(_engine(), new, caller.user_id)
    except services.EndpointError as error:
        raise _invalid_input(str(error)) from None
    return json_response({**_view(row), "secret": secret}, HTTPStatus.CREATED)


@api.delete("/endpoints/<endpoint_id>")
def remove_endpoint(endpoint_id: str) -> Response:
    """Delete an endpoint and its deliveries."""
    _own_endpoint(endpoint_id)
    _services().remove(_engine(), endpoint_id)
    return Response(status=HTTPStatus.NO_CONTENT)


@api.post("/endpoints/<endpoint_id>/enable")
def enable_endpoint(endpoint_id: str) -> Response:
    """Resume deliveries to a disabled endpoint, from where they stopped."""
    _own_endpoint(endpoint_id)
    _services().enable(_engine(), endpoint_id)
    return json_response(_view(_own_endpoint(endpoint_id)))


@api.post("/endpoints/<endpoint_id>/rotate")
def rotate_secret(endpoint_id: str) -> Response:
    """Return a new `secret`; deliveries are also signed with the old one until `old_until`."""
    _own_endpoint(endpoint_id)
    services = _services()
    try:
        secret = services.rotate(_engine(), endpoint_id)
    except services.EndpointError as error:
        raise _invalid_input(str(error)) from None
    return json_response({**_view(_own_endpoint(endpoint_id)), "secret": secret})


@api.get("/endpoints/<endpoint_id>/deliveries")
def list_deliveries(endpoint_id: str) -> Response:
    """List an endpoint's deliveries, the newest first. Query: `state`, `limit`, and `before`, an id."""
    _own_endpoint(endpoint_id)
    state = request.args.get("state")
    if state is not None and state not in STATES:
        raise bad_query("state", f"one of {', '.join(STATES)}")
    limit = integer_parameter("limit", 1, MAX_LIMIT) or DEFAULT_LIMIT
    rows = _services().deliveries(_reader(), endpoint_id, state, integer_parameter("before", 1, _MAX_ID), limit)
    return json_response({"deliveries": [_delivery_view(row) for row in rows]})


@api.post("/endpoints/<endpoint_id>/deliveries/<int:number>/replay")
def replay_delivery(endpoint_id: str, number: int) -> Response:
    """Deliver again, under the same webhook-id."""
    _own_endpoint(endpoint_id)
    if number > _MAX_ID or not _services().replay(_engine(), endpoint_id, number):
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "no-such-delivery",
            "Delivery not found",
            "List the endpoint's deliveries to get valid ids.",
        )
    return json_response({"state": "waiting"}, HTTPStatus.ACCEPTED)


def _own_endpoint(endpoint_id: str) -> Any:
    """Return an endpoint that the caller may access; those of others do not exist for them."""
    caller = auth.authenticate()
    row = _services().find(_reader(), endpoint_id)
    if row is None or caller.user_id not in (None, row.user_id):
        raise Problem(
            HTTPStatus.NOT_FOUND, "no-such-endpoint", "Endpoint not found", "List the endpoints to get valid ids."
        )
    return row


def _view(row: Any) -> dict[str, Any]:
    names = ("id", "user_id", "url", "types", "ops", "sources", "status", "reason", "failures")
    times = {name: _iso(getattr(row, name)) for name in ("failing_since", "rest_until", "old_until", "created_at")}
    return {name: getattr(row, name) for name in names} | times


def _delivery_view(row: Any) -> dict[str, Any]:
    names = ("id", "change_seq", "workspace_id", "object_type", "object_id", "state", "attempts", "status", "error")
    times = {name: _iso(getattr(row, name)) for name in ("due_at", "created_at", "ended_at")}
    return {name: getattr(row, name) for name in names} | times


def _iso(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()


def _input() -> _EndpointInput:
    body = read_whole_body(request.environ, MAX_BODY_BYTES)
    try:
        return msgspec.json.decode(body, type=_EndpointInput)
    except msgspec.ValidationError as error:
        # Its text names the field, and no value.
        raise _invalid_input(str(error)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise _invalid_input("The body is not valid JSON.") from None


def _invalid_input(detail: str) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input", "Invalid input", detail)


def _services() -> Any:
    # This and the next two load SQL, which a process that only receives notifications does not need.
    from workers.deliveries import endpoint_services  # noqa: PLC0415

    return endpoint_services


def _engine() -> Any:
    from workers.runtime.process_resources import engine  # noqa: PLC0415

    return engine()


def _reader() -> Any:
    from workers.runtime.process_resources import reader  # noqa: PLC0415

    return reader()
