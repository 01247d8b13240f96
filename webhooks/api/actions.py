"""The five ready actions: POST /api/actions/create-contact and its sisters."""

from http import HTTPStatus
from typing import Any

import msgspec
from flask import Response, jsonify, request

from webhooks.api import auth
from webhooks.api.problems import Problem, api
from webhooks.serving.request_body import read_whole_body
from workers.actions import MAX_KEY_LENGTH
from workers.actions.outcomes import ActionOutcome

# Bytes. The longest input is a message of a hundred thousand characters.
MAX_BODY_BYTES = 1024 * 1024

_TITLES = {
    "invalid-input": "The input is not in order",
    "contact-exists": "Such a contact exists already",
    "not-found": "There is no such contact",
    "merged": "The contact was merged",
    "not-ready": "The contact cannot be written to yet",
    "no-such-admin": "There is no such teammate",
    "key-reused": "The Idempotency-Key was used for something else",
    "in-progress": "The same action is under way",
    "not-connected": "No workspace is connected",
    "disconnected": "The workspace is not connected any more",
    "try-again": "Intercom did not answer, or not now",
    "rejected": "Intercom refuses",
    "unknown": "Whether it was done is not known",
}


def _desk() -> Any:
    # It loads SQL, which a process that only receives does without.
    from webhooks.api import acting_services  # noqa: PLC0415

    return acting_services


@api.post("/actions/<name>")
def act(name: str) -> Response:
    """Do an action; the answer is its output, see `workers.actions.catalogue`."""
    asking = auth.caller()
    acting_services = _desk()
    if name not in acting_services.ACTIONS:
        raise Problem(
            HTTPStatus.NOT_FOUND,
            "no-such-action",
            "There is no such action",
            "Choose one of `actions`.",
            actions=sorted(acting_services.ACTIONS),
        )
    workspace_id = auth.workspace_for(asking)
    outcome = acting_services.perform(acting_services.tools_for(asking), workspace_id, name, _input(), key=_key())
    if outcome.error is not None:
        raise _problem(outcome)
    response = jsonify(outcome.output)
    response.headers["Cache-Control"] = "no-store"
    return response


def _input() -> dict[str, Any]:
    body = read_whole_body(request.environ, MAX_BODY_BYTES)
    try:
        given = msgspec.json.decode(body or b"{}")
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Problem(HTTPStatus.BAD_REQUEST, "no-json", "The body is no JSON", "Send the input as JSON.") from None
    if not isinstance(given, dict):
        raise Problem(
            HTTPStatus.UNPROCESSABLE_ENTITY, "invalid-input", _TITLES["invalid-input"], "The input is a JSON object."
        )
    return given


def _key() -> str | None:
    key = request.headers.get("Idempotency-Key")
    if key is not None and not (0 < len(key) <= MAX_KEY_LENGTH and key.isprintable()):
        raise Problem(
            HTTPStatus.BAD_REQUEST,
            "bad-key",
            "The Idempotency-Key cannot be used",
            f"It is 1 to {MAX_KEY_LENGTH} printable characters, a UUID for one.",
        )
    return key


def _problem(outcome: ActionOutcome) -> Problem:
    error = outcome.error
    assert error is not None  # noqa: S101 -- for the type checker: only such outcomes come here
    more = {"outcome": outcome.status, **error.more}
    if error.retry_after_seconds is not None:
        more["retry_after"] = max(1, round(error.retry_after_seconds))
    return Problem(error.status, error.code, _TITLES.get(error.code, "It was not done"), error.detail, **more)
