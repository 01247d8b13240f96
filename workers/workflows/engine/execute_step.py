"""Saying what a step says, and what its answer means for the run. Runs in threads."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
import structlog

from intercom_api.errors import IntercomError, NotAuthorizedError, RejectedError, TransientError
from intercom_api.rate_limit.lanes import Lane
from models.db.errors import is_database_unavailable
from settings import get_settings
from workers.actions.catalogue import perform
from workers.actions.definition import ActionContext
from workers.deliveries import http_post
from workers.deliveries.http_post import PostError
from workers.workflows.engine.render_step import StepCall
from workers.workflows.engine.state_machine import StepResult

log = structlog.get_logger()

# Who waits for a step may wait a little longer than a person at a screen, and goes before the long jobs.
LANE = Lane.REFETCH

_NOT_CONNECTED = "Nobody is connected to the workspace. Connect it, then run `intercom-mirror workflows replay`."
_IN_DOUBT = (
    "There was no answer, so nobody knows whether it happened; it is not said again. Look there, then replay it."
)

# Answers that say that nothing was done, and that later something may be.
_NOT_NOW = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})


class ApplicationReply(NamedTuple):
    """What an application answered: `body` is its JSON, or its text if it is none."""

    status: int
    body: Any


class WorkflowContext(NamedTuple):
    """What steps speak with; `post(url, body, headers)` raises PostError."""

    actions: ActionContext
    post: Callable[[str, bytes, Mapping[str, str]], ApplicationReply]


def execute_step(tools: WorkflowContext, workspace_id: str, call: StepCall, key: str) -> StepResult:
    """
    Do what a step says.

    Args:
        tools: to speak with.
        workspace_id: of the run.
        call: what is to be said.
        key: of this step of this run, the same at each try.
    """
    try:
        return _KINDS[call.step.kind](tools, workspace_id, call, key)
    except Exception as error:  # noqa: BLE001 -- whatever it was, the step must not stay in hand for ever
        if is_database_unavailable(error):
            log.warning("the database was away during a step", error=type(error).__name__)
        else:
            log.warning("a step met an error that was not foreseen", step=call.step.id, error=type(error).__name__)
        return _broken(call, f"It broke off ({type(error).__name__}).")


def _broken(call: StepCall, error: str) -> StepResult:
    # An action looks at its key when it is done again.
    return StepResult("again" if call.step.kind == "action" or call.step.repeatable else "unknown", error=error)


def _action(tools: WorkflowContext, workspace_id: str, call: StepCall, key: str) -> StepResult:
    outcome = perform(tools.actions, workspace_id, call.step.action, call.input, key=key)
    if outcome.status == "done":
        return StepResult("done", outcome.output)
    error = outcome.error
    detail = error.detail if error else "It failed."
    if outcome.status == "unknown":
        return StepResult("unknown", error=detail)
    if error is not None and error.retry_after_seconds is not None:
        return StepResult("again", error=detail, pause=error.retry_after_seconds)
    return StepResult("failed", error=detail)


def _request(tools: WorkflowContext, workspace_id: str, call: StepCall, _key: str) -> StepResult:
    try:
        return _asked(tools, workspace_id, call)
    except NotAuthorizedError as error:
        tools.actions.disconnect(workspace_id, error.code)
        return StepResult("failed", error=str(error))
    except TransientError as error:
        if error.not_processed or call.step.repeatable or call.changes == "nothing":
            return StepResult("again", error=str(error), pause=error.retry_after_seconds)
        return StepResult("unknown", error=_IN_DOUBT)
    except RejectedError as error:
        return StepResult("failed", error=f"{error} (HTTP {error.status}, {error.code})")
    except IntercomError as error:
        return StepResult("failed", error=str(error))


def _asked(tools: WorkflowContext, workspace_id: str, call: StepCall) -> StepResult:
    client = tools.actions.client_of(workspace_id, LANE)
    if client is None:
        return StepResult("failed", error=_NOT_CONNECTED)
    method, path = str(call.input["method"]), str(call.input["path"])
    harmless = call.step.repeatable or call.changes == "nothing"
    reply = client.request(
        method, path, params=_query(call.input.get("query")), json=call.input.get("body"), idempotent=harmless
    )
    tools.actions.write_through(workspace_id, method, path, reply)
    return StepResult("done", {"status": reply.status, "body": reply.json})


def _query(query: Any) -> dict[str, str | int] | None:
    if not isinstance(query, Mapping):
        return None
    return {
        str(name): value if isinstance(value, int) and not isinstance(value, bool) else str(value)
        for name, value in query.items()
        if value is not None
    }


def _http(tools: WorkflowContext, _workspace_id: str, call: StepCall, key: str) -> StepResult:
    headers = {str(name): str(value) for name, value in (call.input.get("headers") or {}).items()}
    headers |= {"Content-Type": "application/json", "Idempotency-Key": key}
    try:
        answer = tools.post(str(call.input["url"]), msgspec.json.encode(call.input.get("body")), headers)
    except PostError as error:
        if error.permanent:
            return StepResult("failed", error=str(error))
        return StepResult("again", error=str(error)) if error.not_sent else _broken_http(call, str(error))
    output = {"status": answer.status, "body": answer.body}
    said = f"The application answered with status {answer.status}."
    if HTTPStatus.OK <= answer.status < HTTPStatus.MULTIPLE_CHOICES:
        return StepResult("done", output)
    if answer.status in _NOT_NOW:
        return StepResult("again", output, said)
    if answer.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return _broken_http(call, said, output)
    return StepResult("failed", output, said)


def _broken_http(call: StepCall, error: str, output: Any = None) -> StepResult:
    if call.step.repeatable:
        return StepResult("again", output, error)
    return StepResult("unknown", output, f"{error} It is not said again, unless the step has `repeatable: true`.")


_KINDS: dict[str, Callable[[WorkflowContext, str, StepCall, str], StepResult]] = {
    "action": _action,
    "request": _request,
    "http": _http,
}


def post_to_application(url: str, body: bytes, headers: Mapping[str, str]) -> ApplicationReply:
    """
    Post JSON to a URL of a workflow file.

    Returns:
        The reply; its body is decoded from JSON, or text if it is not JSON, or None if it is empty.

    Raises:
        PostError: there was no reply.
    """
    reply = http_post.post(url, body, headers, allow_private=get_settings().allow_private_targets)
    return ApplicationReply(reply.status, _decoded(reply.body))


def _decoded(body: bytes) -> object:
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return body.decode(errors="replace")
