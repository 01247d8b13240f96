"""The description of /api for programs (OpenAPI 3.1), made from what is checked. Loads SQL, as the actions do."""

from functools import cache
from typing import Any, NamedTuple

from settings import get_settings
from webhooks.api import auth, changes, endpoints
from webhooks.api.problems import MEDIA_TYPE
from webhooks.api.schemas import SCHEMAS, Schema, listed, of, ref
from workers.actions import MAX_KEY_LENGTH
from workers.actions.catalogue import ACTIONS
from workers.actions.definition import Action

_LARGEST = 2**63 - 1
_PROXIED = ("get", "post", "put", "patch", "delete")


class Operation(NamedTuple):
    """One method of one address. `answer`: the schema of a success, None for no content."""

    method: str
    path: str
    summary: str
    answer: Schema | None
    status: int = 200
    parameters: tuple[Schema, ...] = ()
    body: Schema | None = None


def _given(name: str, where: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": where, "description": description, "schema": schema, "required": where == "path"}


def _query(name: str, description: str, schema: Schema) -> Schema:
    return _given(name, "query", description, schema)


_USER = _given(auth.USER_HEADER, "header", "for whom the operator asks, with ADMIN_TOKEN", {"type": "string"})
_WORKSPACE = _given(auth.WORKSPACE_HEADER, "header", "which workspace, if there are several", {"type": "string"})
_KEY = _given(
    "Idempotency-Key",
    "header",
    "the same key gives the same answer",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
)
_ENDPOINT_ID = _given("endpoint_id", "path", "the endpoint's id", {"type": "string"})
_NUMBER = _given("number", "path", "the delivery's id", {"type": "integer", "minimum": 0})
_PATH = _given("path", "path", "the rest of Intercom's address, slashes and all", {"type": "string"})

_CHANGES = (
    _query("after", "the last `next` that you were given; `now`: the end", {"type": "string", "default": changes.NOW}),
    _query(
        "limit",
        "lines at most",
        {"type": "integer", "minimum": 1, "maximum": changes.MOST_LINES, "default": changes.USUAL_LINES},
    ),
    _query("types", f"some of {', '.join(changes.TYPES)}, separated by commas", {"type": "string"}),
    _query(
        "wait",
        "seconds to wait if there is nothing yet",
        {"type": "integer", "minimum": 0, "maximum": int(changes.LONGEST_WAIT), "default": 0},
    ),
)
_DELIVERIES = (
    _query("state", "only those in this state", {"type": "string", "enum": list(endpoints.STATES)}),
    _query(
        "limit",
        "deliveries at most",
        {"type": "integer", "minimum": 1, "maximum": endpoints.MOST_LINES, "default": endpoints.USUAL_LINES},
    ),
    _query("before", "only those with smaller ids", {"type": "integer", "minimum": 1, "maximum": _LARGEST}),
)

_ENDPOINTS = "/api/endpoints"
_ONE = f"{_ENDPOINTS}/{{endpoint_id}}"
_WITH_SECRET, _ENDPOINT = ref("EndpointWithSecret"), ref("Endpoint")
_WAITING = of({"state": {"type": "string"}})

FIXED = (
    Operation(
        "get",
        "/api/connections",
        "The caller's connections, and where to connect",
        listed("connections", ref("Connection"), connect_url={"type": "string"}),
    ),
    Operation(
        "get",
        "/api/changes",
        "What changed after a number",
        listed("changes", ref("Change"), next={"type": "integer"}),
        parameters=(_WORKSPACE, *_CHANGES),
    ),
    Operation("get", _ENDPOINTS, "Where outgoing webhooks go", listed("endpoints", _ENDPOINT)),
    Operation(
        "post",
        _ENDPOINTS,
        "Add an endpoint; the answer holds its secret, this once",
        _WITH_SECRET,
        201,
        body=ref("NewEndpoint"),
    ),
    Operation("delete", _ONE, "Remove an endpoint with its deliveries", None, 204, (_ENDPOINT_ID,)),
    Operation("post", f"{_ONE}/enable", "Tell a disabled endpoint again", _ENDPOINT, parameters=(_ENDPOINT_ID,)),
    Operation("post", f"{_ONE}/rotate", "Give an endpoint a new secret", _WITH_SECRET, parameters=(_ENDPOINT_ID,)),
    Operation(
        "get",
        f"{_ONE}/deliveries",
        "What an endpoint was told, the newest first",
        listed("deliveries", ref("Delivery")),
        parameters=(_ENDPOINT_ID, *_DELIVERIES),
    ),
    Operation(
        "post", f"{_ONE}/deliveries/{{number}}/replay", "Deliver once more", _WAITING, 202, (_ENDPOINT_ID, _NUMBER)
    ),
)


def operations() -> list[Operation]:
    """Return everything that can be asked, in the order in which people look for it."""
    passed = [
        Operation(
            method,
            "/api/proxy/{path}",
            "Pass a call on to Intercom; its answer comes back as it is",
            {},
            parameters=(_PATH, _WORKSPACE),
        )
        for method in _PROXIED
    ]
    return [FIXED[0], *map(_of_action, ACTIONS.values()), *passed, *FIXED[1:]]


def _of_action(action: Action) -> Operation:
    parameters = (_WORKSPACE, _KEY)
    return Operation(
        "post", f"/api/actions/{action.name}", action.summary, action.output, parameters=parameters, body=action.schema
    )


@cache
def document() -> dict[str, Any]:
    """Return the whole description."""
    paths: dict[str, dict[str, Any]] = {}
    for each in operations():
        paths.setdefault(each.path, {})[each.method] = _described(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Intercom Mirror", "version": "1", "description": "Problems are told as RFC 9457 wants."},
        "servers": [{"url": get_settings().public_url}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _described(operation: Operation) -> dict[str, Any]:
    problem = {"description": "A problem", "content": {MEDIA_TYPE: {"schema": ref("Problem")}}}
    done: dict[str, Any] = {"description": "Done"}
    if operation.answer is not None:
        done["content"] = {"application/json": {"schema": operation.answer}}
    responses = {str(operation.status): done, "default": problem}
    if operation.path.startswith("/api/proxy/"):
        # Whatever Intercom says, in its words; problems of ours are told apart by their media type.
        responses = {"default": {"description": "Intercom's answer, or a problem", "content": {"*/*": {}}}}
    described = {
        "summary": operation.summary,
        "operationId": _name(operation),
        "parameters": [_USER, *operation.parameters],
        "responses": responses,
    }
    if operation.body is not None:
        described["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation.body}}}
    return described


def _name(operation: Operation) -> str:
    words = operation.path.removeprefix("/api/").replace("{", "").replace("}", "").replace("_", "-")
    return f"{operation.method}-{words.replace('/', '-')}"
