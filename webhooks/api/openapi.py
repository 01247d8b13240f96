"""The OpenAPI 3.1 description of /api, generated from the schemas that are enforced. Loads SQL, as the actions do."""

from functools import cache
from typing import Any, NamedTuple

from settings import get_settings
from webhooks.api import auth, changes, endpoints
from webhooks.api.problems import MEDIA_TYPE
from webhooks.api.schemas import SCHEMAS, Schema, list_schema, object_schema, ref
from workers.actions import MAX_KEY_LENGTH
from workers.actions.catalogue import ACTIONS
from workers.actions.definition import Action

_MAX_ID = 2**63 - 1
_PROXY_METHODS = ("get", "post", "put", "patch", "delete")


class Operation(NamedTuple):
    """One method of one path. `response`: the schema of a success; None for no content."""

    method: str
    path: str
    summary: str
    response: Schema | None
    status: int = 200
    parameters: tuple[Schema, ...] = ()
    body: Schema | None = None


def _parameter(name: str, where: str, description: str, schema: Schema) -> Schema:
    return {"name": name, "in": where, "description": description, "schema": schema, "required": where == "path"}


def _query_parameter(name: str, description: str, schema: Schema) -> Schema:
    return _parameter(name, "query", description, schema)


_USER = _parameter(
    auth.USER_HEADER,
    "header",
    "the user on whose behalf the operator sends the request; with ADMIN_TOKEN only",
    {"type": "string"},
)
_WORKSPACE = _parameter(
    auth.WORKSPACE_HEADER, "header", "the workspace; required if several are connected", {"type": "string"}
)
_KEY = _parameter(
    "Idempotency-Key",
    "header",
    "requests with the same key are performed once",
    {"type": "string", "minLength": 1, "maxLength": MAX_KEY_LENGTH},
)
_ENDPOINT_ID = _parameter("endpoint_id", "path", "the endpoint's id", {"type": "string"})
_NUMBER = _parameter("number", "path", "the delivery's id", {"type": "integer", "minimum": 0})
_PATH = _parameter("path", "path", "the path in Intercom's API, including slashes", {"type": "string"})

_CHANGES = (
    _query_parameter(
        "after",
        "the `next` of the last response; `now` means the end of the feed",
        {"type": "string", "default": changes.NOW},
    ),
    _query_parameter(
        "limit",
        "the maximum number of changes",
        {"type": "integer", "minimum": 1, "maximum": changes.MAX_LIMIT, "default": changes.DEFAULT_LIMIT},
    ),
    _query_parameter("types", f"comma-separated list of {', '.join(changes.TYPES)}", {"type": "string"}),
    _query_parameter(
        "wait",
        "seconds to wait for a change if there is none",
        {"type": "integer", "minimum": 0, "maximum": changes.MAX_WAIT_SECONDS, "default": 0},
    ),
)
_DELIVERIES = (
    _query_parameter("state", "only deliveries in this state", {"type": "string", "enum": list(endpoints.STATES)}),
    _query_parameter(
        "limit",
        "the maximum number of deliveries",
        {"type": "integer", "minimum": 1, "maximum": endpoints.MAX_LIMIT, "default": endpoints.DEFAULT_LIMIT},
    ),
    _query_parameter(
        "before", "only deliveries with smaller ids", {"type": "integer", "minimum": 1, "maximum": _MAX_ID}
    ),
)

_ENDPOINTS = "/api/endpoints"
_ONE = f"{_ENDPOINTS}/{{endpoint_id}}"
_WITH_SECRET, _ENDPOINT = ref("EndpointWithSecret"), ref("Endpoint")
_WAITING = object_schema({"state": {"type": "string"}})

FIXED = (
    Operation(
        "get",
        "/api/connections",
        "List the caller's connections",
        list_schema("connections", ref("Connection"), connect_url={"type": "string"}),
    ),
    Operation(
        "get",
        "/api/changes",
        "Read the change feed",
        list_schema("changes", ref("Change"), next={"type": "integer"}),
        parameters=(_WORKSPACE, *_CHANGES),
    ),
    Operation("get", _ENDPOINTS, "List the endpoints of outgoing webhooks", list_schema("endpoints", _ENDPOINT)),
    Operation(
        "post",
        _ENDPOINTS,
        "Add an endpoint; only this response contains its secret",
        _WITH_SECRET,
        201,
        body=ref("NewEndpoint"),
    ),
    Operation("delete", _ONE, "Delete an endpoint and its deliveries", None, 204, (_ENDPOINT_ID,)),
    Operation(
        "post", f"{_ONE}/enable", "Resume deliveries to a disabled endpoint", _ENDPOINT, parameters=(_ENDPOINT_ID,)
    ),
    Operation("post", f"{_ONE}/rotate", "Replace an endpoint's secret", _WITH_SECRET, parameters=(_ENDPOINT_ID,)),
    Operation(
        "get",
        f"{_ONE}/deliveries",
        "List an endpoint's deliveries, the newest first",
        list_schema("deliveries", ref("Delivery")),
        parameters=(_ENDPOINT_ID, *_DELIVERIES),
    ),
    Operation("post", f"{_ONE}/deliveries/{{number}}/replay", "Deliver again", _WAITING, 202, (_ENDPOINT_ID, _NUMBER)),
)


def operations() -> list[Operation]:
    """Return all operations, in the order in which a developer needs them."""
    proxied = [
        Operation(
            method,
            "/api/proxy/{path}",
            "Forward a call to Intercom and return its response",
            {},
            parameters=(_PATH, _WORKSPACE),
        )
        for method in _PROXY_METHODS
    ]
    return [FIXED[0], *map(_action_operation, ACTIONS.values()), *proxied, *FIXED[1:]]


def _action_operation(action: Action) -> Operation:
    parameters = (_WORKSPACE, _KEY)
    return Operation(
        "post", f"/api/actions/{action.name}", action.summary, action.output, parameters=parameters, body=action.schema
    )


@cache
def document() -> dict[str, Any]:
    """Return the whole document."""
    paths: dict[str, dict[str, Any]] = {}
    for each in operations():
        paths.setdefault(each.path, {})[each.method] = _operation_object(each)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Intercom Mirror", "version": "1", "description": "Errors have the form of RFC 9457."},
        "servers": [{"url": get_settings().public_url}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}},
        },
    }


def _operation_object(operation: Operation) -> dict[str, Any]:
    problem = {"description": "An error", "content": {MEDIA_TYPE: {"schema": ref("Problem")}}}
    success: dict[str, Any] = {"description": "Success"}
    if operation.response is not None:
        success["content"] = {"application/json": {"schema": operation.response}}
    responses = {str(operation.status): success, "default": problem}
    if operation.path.startswith("/api/proxy/"):
        # Intercom's response, unchanged; our own errors are distinguished by their media type.
        responses = {
            "default": {"description": "Intercom's response, or an error of the mirror", "content": {"*/*": {}}}
        }
    content = {
        "summary": operation.summary,
        "operationId": _operation_id(operation),
        "parameters": [_USER, *operation.parameters],
        "responses": responses,
    }
    if operation.body is not None:
        content["requestBody"] = {"required": True, "content": {"application/json": {"schema": operation.body}}}
    return content


def _operation_id(operation: Operation) -> str:
    words = operation.path.removeprefix("/api/").replace("{", "").replace("}", "").replace("_", "-")
    return f"{operation.method}-{words.replace('/', '-')}"
