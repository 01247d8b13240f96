"""Executes the call of a step, and turns the response into the result of the step. Runs in threads."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
import structlog

from intercom_api.errors import IntercomError, NotAuthorizedError, RejectedError, TransientError
from intercom_api.rate_limit.lanes import Lane
from models.db.database_errors import is_database_unavailable
from settings import get_settings
from workers.actions.catalogue import perform
from workers.actions.definition import ActionContext
from workers.deliveries import http_post
from workers.deliveries.http_post import PostError
from workers.workflows.engine.decide_next_step import StepResult
from workers.workflows.engine.render_step import StepCall

log = structlog.get_logger()

# A step may wait a little longer than a user at a screen, and goes before the long jobs.
LANE = Lane.REFETCH

_NOT_CONNECTED = "No user is connected to the workspace. Connect it, then run `intercom-mirror workflows replay`."
_OUTCOME_UNKNOWN = (
    "Intercom did not respond, so it is unknown whether it performed the request. The request is not sent again. Check "
    "in Intercom, then replay the run."
)

# Statuses that mean that the application did nothing, and may do so later.
_RETRY_LATER = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class ApplicationReply(NamedTuple):
    """The response of an application; `body` is decoded from JSON, or its text if it is not JSON."""

    status: int
    body: Any


class WorkflowContext(NamedTuple):
    """The resources that steps work with; `post(url, body, headers)` raises PostError."""

    actions: ActionContext
    post: Callable[[str, bytes, Mapping[str, str]], ApplicationReply]


def execute_step(context: WorkflowContext, workspace_id: str, call: StepCall, key: str) -> StepResult:
    """
    Execute the call of a step. Never raises, because the run would stay leased.

    Args:
        context: to work with.
        workspace_id: of the run.
        call: to execute.
        key: the idempotency key of this step of this run, the same for each attempt.
    """
    try:
        return _EXECUTORS[call.step.kind](context, workspace_id, call, key)
    except Exception as error:  # noqa: BLE001 -- see the docstring
        if is_database_unavailable(error):
            log.warning("database unavailable during a step", error=type(error).__name__)
        else:
            log.warning("unexpected error in a step", step=call.step.id, error=type(error).__name__)
        # An action finds out by its key what it did.
        may_repeat = call.step.kind == "action" or call.step.repeatable
        return StepResult("again" if may_repeat else "unknown", error=f"The step failed ({type(error).__name__}).")


def _action(context: WorkflowContext, workspace_id: str, call: StepCall, key: str) -> StepResult:
    outcome = perform(context.actions, workspace_id, call.step.action, call.input, key=key)
    if outcome.status == "done":
        return StepResult("done", outcome.output)
    error = outcome.error
    detail = error.detail if error else "The action failed."
    if outcome.status == "unknown":
        return StepResult("unknown", error=detail)
    if error is not None and error.retry_after_seconds is not None:
        return StepResult("again", error=detail, retry_after=error.retry_after_seconds)
    return StepResult("failed", error=detail)


def _request(context: WorkflowContext, workspace_id: str, call: StepCall, _key: str) -> StepResult:
    may_repeat = call.step.repeatable or call.changes == "nothing"
    try:
        return _send_request(context.actions, workspace_id, call, may_repeat=may_repeat)
    except NotAuthorizedError as error:
        context.actions.disconnect(workspace_id, error.code)
        return StepResult("failed", error=str(error))
    except TransientError as error:
        if error.not_processed or may_repeat:
            return StepResult("again", error=str(error), retry_after=error.retry_after_seconds)
        return StepResult("unknown", error=_OUTCOME_UNKNOWN)
    except RejectedError as error:
        return StepResult("failed", error=f"{error} (HTTP {error.status}, {error.code})")
    except IntercomError as error:
        return StepResult("failed", error=str(error))


def _send_request(actions: ActionContext, workspace_id: str, call: StepCall, *, may_repeat: bool) -> StepResult:
    client = actions.client_of(workspace_id, LANE)
    if client is None:
        return StepResult("failed", error=_NOT_CONNECTED)
    method, path = str(call.input["method"]), str(call.input["path"])
    reply = client.request(
        method, path, params=_query(call.input.get("query")), json=call.input.get("body"), idempotent=may_repeat
    )
    actions.write_through(workspace_id, method, path, reply)
    return StepResult("done", {"status": reply.status, "body": reply.json})


def _query(query: Any) -> dict[str, str | int] | None:
    if not isinstance(query, Mapping):
        return None
    return {
        str(name): value if isinstance(value, int) and not isinstance(value, bool) else str(value)
        for name, value in query.items()
        if value is not None
    }


def _http(context: WorkflowContext, _workspace_id: str, call: StepCall, key: str) -> StepResult:
    headers = {str(name): str(value) for name, value in (call.input.get("headers") or {}).items()}
    headers |= {"Content-Type": "application/json", "Idempotency-Key": key}
    try:
        reply = context.post(str(call.input["url"]), msgspec.json.encode(call.input.get("body")), headers)
    except PostError as error:
        if error.permanent:
            return StepResult("failed", error=str(error))
        return StepResult("again", error=str(error)) if error.not_sent else _uncertain(call, str(error))
    output = {"status": reply.status, "body": reply.body}
    detail = f"The application responded with status {reply.status}."
    if HTTPStatus.OK <= reply.status < HTTPStatus.MULTIPLE_CHOICES:
        return StepResult("done", output)
    if reply.status in _RETRY_LATER:
        return StepResult("again", output, detail)
    if reply.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _uncertain(call, detail, output)
    return StepResult("failed", output, detail)


def _uncertain(call: StepCall, error: str, output: Any = None) -> StepResult:
    """Return the result of a request that the application may have processed."""
    if call.step.repeatable:
        return StepResult("again", output, error)
    detail = f"{error} The request is not sent again, because the step does not have `repeatable: true`."
    return StepResult("unknown", output, detail)


_EXECUTORS: dict[str, Callable[[WorkflowContext, str, StepCall, str], StepResult]] = {
    "action": _action,
    "request": _request,
    "http": _http,
}


def post_to_application(url: str, body: bytes, headers: Mapping[str, str]) -> ApplicationReply:
    """
    Post JSON to a URL of a workflow file.

    Returns:
        The response; its body is decoded from JSON, or text if it is not JSON, or None if it is empty.

    Raises:
        PostError: there was no response.
    """
    reply = http_post.post(url, body, headers, allow_private=get_settings().allow_private_targets)
    return ApplicationReply(reply.status, _decode(reply.body))


def _decode(body: bytes) -> object:
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode(errors="replace")
