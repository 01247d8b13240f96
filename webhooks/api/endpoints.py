"""Endpoints of outgoing webhooks: /api/endpoints. A user's own; for the operator all."""

from http import HTTPStatus
from typing import Any

import msgspec
from flask import Response, jsonify, request

from webhooks.api import auth
from webhooks.api.problems import Problem, api
from webhooks.serving.request_body import read_whole_body

# Bytes; an address and three short lists.
MAX_BODY_BYTES = 16 * 1024
# Deliveries of one answer.
USUAL_LINES, MOST_LINES = 100, 500
STATES = ("waiting", "delivered", "failed")
_LARGEST = 2**63 - 1


class _Wish(msgspec.Struct, forbid_unknown_fields=True):
    url: str
    types: list[str] = []
    ops: list[str] = []
    sources: list[str] = []


@api.get("/endpoints")
def list_endpoints() -> Response:
    """List the caller's endpoints, the oldest first; for the operator alone all."""
    asking = auth.caller()
    endpoint_services = _manage()
    found = endpoint_services.endpoints(_reader(), asking.user_id)
    return _answer({"endpoints": [_shown(each) for each in found]})


@api.post("/endpoints")
def add_endpoint() -> Response:
    """Add one: `url`, and the filters `types`, `ops`, `sources`. The answer holds its `secret`, this once."""
    asking = auth.caller()
    wish = _wish()
    endpoint_services = _manage()
    try:
        row, secret = endpoint_services.add(
            _engine(), endpoint_services.NewEndpoint(wish.url, wish.types, wish.ops, wish.sources), asking.user_id
        )
    except endpoint_services.EndpointError as error:
        raise _impossible(error) from None
    return _answer({**_shown(row), "secret": secret}, HTTPStatus.CREATED)


@api.delete("/endpoints/<endpoint_id>")
def remove_endpoint(endpoint_id: str) -> Response:
    """Remove one with its deliveries."""
    _theirs(endpoint_id)
    _manage().remove(_engine(), endpoint_id)
    return Response(status=HTTPStatus.NO_CONTENT)


@api.post("/endpoints/<endpoint_id>/enable")
def enable_endpoint(endpoint_id: str) -> Response:
    """Tell one again what it is to be told, from where it stopped."""
    _theirs(endpoint_id)
    _manage().enable(_engine(), endpoint_id)
    return _answer(_shown(_theirs(endpoint_id)))


@api.post("/endpoints/<endpoint_id>/rotate")
def rotate_secret(endpoint_id: str) -> Response:
    """Give one a new `secret`, which the answer holds; the old one signs as well until `old_until`."""
    _theirs(endpoint_id)
    endpoint_services = _manage()
    try:
        secret = endpoint_services.rotate(_engine(), endpoint_id)
    except endpoint_services.EndpointError as error:
        raise _impossible(error) from None
    return _answer({**_shown(_theirs(endpoint_id)), "secret": secret})


@api.get("/endpoints/<endpoint_id>/deliveries")
def list_deliveries(endpoint_id: str) -> Response:
    """List what one was told, the newest first: `state`, `limit`, and `before` an id, are the query's."""
    _theirs(endpoint_id)
    state = request.args.get("state")
    if state is not None and state not in STATES:
        raise _bad("state", f"one of {', '.join(STATES)}")
    limit = _whole("limit", MOST_LINES) or USUAL_LINES
    found = _manage().deliveries(_reader(), endpoint_id, state, _whole("before", _LARGEST), limit)
    return _answer({"deliveries": [_told(each) for each in found]})


@api.post("/endpoints/<endpoint_id>/deliveries/<int:number>/replay")
def replay_delivery(endpoint_id: str, number: int) -> Response:
    """Deliver once more, under the same webhook-id."""
    _theirs(endpoint_id)
    if number > _LARGEST or not _manage().replay(_engine(), endpoint_id, number):
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "no-such-delivery",
            "There is no such delivery",
            "List the endpoint's deliveries for the ids that there are.",
        )
    return _answer({"state": "waiting"}, HTTPStatus.ACCEPTED)


def _theirs(endpoint_id: str) -> Any:
    """Return an endpoint that the caller may touch; those of others do not exist for them."""
    asking = auth.caller()
    found = _manage().find(_reader(), endpoint_id)
    if found is None or asking.user_id not in (None, found.user_id):
        raise Problem(
            HTTPStatus.NOT_FOUND, "no-such-endpoint", "There is no such endpoint", "List the endpoints that there are."
        )
    return found


def _shown(row: Any) -> dict[str, Any]:
    names = ("id", "user_id", "url", "types", "ops", "sources", "status", "reason", "failures")
    moments = {name: _moment(getattr(row, name)) for name in ("failing_since", "rest_until", "old_until", "created_at")}
    return {name: getattr(row, name) for name in names} | moments


def _told(row: Any) -> dict[str, Any]:
    names = ("id", "change_seq", "workspace_id", "object_type", "object_id", "state", "attempts", "status", "error")
    moments = {name: _moment(getattr(row, name)) for name in ("due_at", "created_at", "ended_at")}
    return {name: getattr(row, name) for name in names} | moments


def _moment(moment: Any) -> str | None:
    return None if moment is None else moment.isoformat()


def _wish() -> _Wish:
    body = read_whole_body(request.environ, MAX_BODY_BYTES)
    try:
        return msgspec.json.decode(body, type=_Wish)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        # It names the field, and no value.
        detail = str(error) if isinstance(error, msgspec.ValidationError) else "The body is no JSON."
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input", "The input is not in order", detail) from None


def _whole(name: str, most: int) -> int | None:
    given = request.args.get(name)
    if given is None:
        return None
    if not (given.isascii() and given.isdigit() and len(given) <= len(str(most)) and 1 <= int(given) <= most):
        raise _bad(name, f"a whole number from 1 to {most}")
    return int(given)


def _bad(name: str, wanted: str) -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST, "bad-query", "The query is not in order", f"`{name}` is {wanted}.", parameter=name
    )


def _impossible(error: Exception) -> Problem:
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input", "The input is not in order", str(error))


def _answer(told: dict[str, Any], status: HTTPStatus = HTTPStatus.OK) -> Response:
    response = jsonify(told)
    response.status_code = status
    response.headers["Cache-Control"] = "no-store"
    return response


def _manage() -> Any:
    # It loads SQL, which a process that only receives does without; so do the two below.
    from workers.deliveries import endpoint_services  # noqa: PLC0415

    return endpoint_services


def _engine() -> Any:
    from workers.runtime.process import engine  # noqa: PLC0415

    return engine()


def _reader() -> Any:
    from workers.runtime.process import reader  # noqa: PLC0415

    return reader()
