"""The five actions: POST /api/actions/create-contact, update-contact, get-contact, search-contacts, send-message."""

from http import HTTPStatus
from typing import Any

import msgspec
from flask import Response, request

from webhooks.api import auth
from webhooks.api.problems import Problem, api, json_response
from webhooks.serving.request_body import read_whole_body
from workers.actions import MAX_KEY_LENGTH
from workers.actions.outcomes import ActionOutcome

# Bytes. The longest input is a message of a hundred thousand characters.
MAX_BODY_BYTES = 1024 * 1024

_TITLES = {
    "invalid-input": "Invalid input",
    "contact-exists": "Contact already exists",
    "not-found": "Contact not found",
    "merged": "The contact was merged",
    "not-ready": "The contact cannot be messaged yet",
    "no-such-admin": "Teammate not found",
    "key-reused": "The Idempotency-Key was used for another request",
    "in-progress": "The same action is in progress",
    "not-connected": "No workspace is connected",
    "disconnected": "The workspace is no longer connected",
    "try-again": "Intercom is unavailable",
    "rejected": "Intercom rejected the request",
    "unknown": "Outcome unknown",
}


@api.post("/actions/<name>")
def act(name: str) -> Response:
    """Perform an action; the response is its output, see `workers.actions.idempotency.perform_once`."""
    caller = auth.authenticate()
    # Imported late: it loads SQL, which a process that only receives notifications does not need.
    from webhooks.api import acting_services  # noqa: PLC0415

    if name not in acting_services.ACTIONS:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "no-such-action",
            "No such action",
            "Choose one of `actions`.",
            actions=sorted(acting_services.ACTIONS),
        )
    workspace_id = auth.select_workspace(caller)
    outcome = acting_services.perform(acting_services.action_context(caller), workspace_id, name, _input(), key=_key())
    if outcome.error is not None:
        raise _problem(outcome)
    return json_response(outcome.output)


def _input() -> dict[str, Any]:
    body = read_whole_body(request.environ, MAX_BODY_BYTES)
    try:
        content = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(HTTPStatus.BAD_REQUEST, "no-json", "Not valid JSON", "Send the input as JSON.") from None
    if not isinstance(content, dict):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input", _TITLES["invalid-input"], "The input must be an object."
        )
    return content


def _key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MAX_KEY_LENGTH and key.isprintable()):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "bad-key",
            "Invalid Idempotency-Key",
            f"It must have 1 to {MAX_KEY_LENGTH} printable characters, as a UUID does.",
        )
    return key


def _problem(outcome: ActionOutcome) -> Problem:
    error = outcome.error
    assert error is not None  # noqa: S101 -- for the type checker: only such outcomes come here
    more = {"outcome": outcome.status, **error.more}
    if error.retry_after_seconds is not None:
        more["retry_after"] = max(1, round(error.retry_after_seconds))
    return Problem(error.status, error.code, _TITLES.get(error.code, "The action failed"), error.detail, **more)
