"""
Doing an action, at most once for each idempotency key.

A key is reserved in SQL before anything is said, marked right before something is said that must not be said twice,
and closed with the outcome. Whoever comes with a key that was left open by a process that died goes on from there:

    reserved  nothing was said: begin anew
    sending   perhaps it was said: begin anew if that is harmless, else settle what Intercom knows, else "unknown"
    done, failed, unknown  the same answer again; an unknown one is settled first where that is possible
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, NamedTuple

import msgspec
import structlog
from sqlalchemy.exc import DBAPIError

from intercom_api.errors import IntercomError, NotAuthorizedError
from models.db.engine import transaction
from models.queries import action_key_rows
from models.queries.action_key_rows import ActionKey, ActionKeyRow
from workers.actions import custom_attributes
from workers.actions.definition import Action, ActionCall, ActionContext, Run
from workers.actions.fields import Mistakes
from workers.actions.outcomes import ActionFailure, ActionOutcome, failed, of_error, unknown

log = structlog.get_logger()

# Seconds that a process may be at work on a key before others take it for dead: waiting for the allowance (12), two
# tries of ten seconds for each of three calls, and some.
LEASE_SECONDS = 120


class Resumed(NamedTuple):
    """
    What is to be done for a key: how, and since when it is being tried.

    `doubtful`: an earlier try may have done it already.
    """

    run: Run
    began_at: datetime
    doubtful: bool = False


def perform_once(
    tools: ActionContext, action: Action, workspace_id: str, given: Mapping[str, Any], *, key: str | None = None
) -> ActionOutcome:
    """
    Do an action.

    Args:
        tools: those of whoever wants it.
        action: one of ACTIONS.
        workspace_id: where.
        given: its input.
        key: the same key, with the same input, is answered the same; None: it is done as often as it is called.

    Raises:
        sqlalchemy.exc.OperationalError: the database is away; nothing was done.
    """
    if mistakes := action.check(given):
        return _invalid(mistakes)
    if key is None:
        return _attempt(tools, action, workspace_id, given, Resumed(action.run, datetime.now(UTC)), _nothing)
    place = ActionKey(workspace_id, tools.owner, key)
    found = _open(tools, place, action, _digest(action, given))
    if isinstance(found, ActionOutcome):
        return found
    outcome = _attempt(
        tools, action, workspace_id, given, found, partial(_mark, tools, place, action_key_rows.SENDING, None)
    )
    _close(tools, place, outcome, doubtful=found.doubtful)
    return outcome


def resume(action: Action, digest: str, kept: ActionKeyRow, now: datetime) -> ActionOutcome | Resumed:
    """Decide what becomes of a key that was used before."""
    if (kept.action, kept.digest) != (action.name, digest):
        return failed("key-reused", "This Idempotency-Key was used for something else. Use a new one.", 422)
    if kept.state in (action_key_rows.DONE, action_key_rows.FAILED) and kept.outcome is not None:
        return msgspec.convert(kept.outcome, ActionOutcome)
    if kept.state in (action_key_rows.RESERVED, action_key_rows.SENDING) and kept.lease_until > now:
        wait = (kept.lease_until - now).total_seconds()
        return failed("in-progress", "The same action with this Idempotency-Key is under way. Ask again.", 409, wait)
    if kept.state == action_key_rows.RESERVED or action.repeatable:
        return Resumed(action.run, kept.began_at)
    if action.settle is not None:
        return Resumed(action.settle, kept.began_at, doubtful=True)
    return (
        msgspec.convert(kept.outcome, ActionOutcome)
        if kept.outcome
        else unknown(
            "unknown",
            "It broke off while this was said to Intercom, and nobody knows whether it arrived. It is not said "
            "again. Look in Intercom, and use another Idempotency-Key to do it once more.",
        )
    )


def _open(tools: ActionContext, place: ActionKey, action: Action, digest: str) -> ActionOutcome | Resumed:
    now = datetime.now(UTC)
    until = now + timedelta(seconds=LEASE_SECONDS)
    with transaction(tools.engine) as connection:
        if action_key_rows.reserve(connection, place, action.name, digest, now, until):
            return Resumed(action.run, now)
        kept = action_key_rows.read(connection, place)
        if kept is None:
            return failed("in-progress", "This Idempotency-Key was just given up. Ask again.", 409, 1.0)
        found = resume(action, digest, kept, now)
        if isinstance(found, Resumed):
            action_key_rows.extend_lease(connection, place, until)
        return found


def _attempt(
    tools: ActionContext,
    action: Action,
    workspace_id: str,
    given: Mapping[str, Any],
    found: Resumed,
    sending: Callable[[], None],
) -> ActionOutcome:
    try:
        client = tools.client_of(workspace_id, tools.lane)
        if client is None:
            return failed("not-connected", "The workspace is not connected. Connect it, then try again.", 409)
        if action.knows_attributes:
            wrong = custom_attributes.mistakes(tools.reader, client, given.get("custom_attributes") or {})
            if wrong:
                return _invalid(wrong)
        return found.run(ActionCall(tools, client, workspace_id, given, found.began_at, sending))
    except NotAuthorizedError as error:
        tools.disconnect(workspace_id, error.code)
        return of_error(error)
    except IntercomError as error:
        return of_error(error)


def _close(tools: ActionContext, place: ActionKey, outcome: ActionOutcome, *, doubtful: bool) -> None:
    """
    Keep the outcome; where Intercom did nothing and later may, or the input was wrong, the key is free again.

    Not if an earlier try may have done it: then the next one must know of that too.
    """
    passing = outcome.error is not None and (
        outcome.error.retry_after_seconds is not None or outcome.error.code in _FREE_AGAIN
    )
    try:
        with transaction(tools.engine) as connection:
            if outcome.status == "failed" and passing and not doubtful:
                action_key_rows.delete(connection, place)
            else:
                state = action_key_rows.UNKNOWN if passing else outcome.status
                action_key_rows.set_state(connection, place, state, datetime.now(UTC), msgspec.to_builtins(outcome))
    except DBAPIError as error:
        # The answer is known to whoever asked; the key stays open, and is settled by who comes with it again.
        log.warning("an outcome could not be kept", workspace_id=place.workspace_id, error=type(error).__name__)


# Failures that say nothing about the action itself.
_FREE_AGAIN = frozenset({"invalid-input", "not-connected", "disconnected"})


def _mark(tools: ActionContext, place: ActionKey, state: str, outcome: dict[str, Any] | None) -> None:
    with transaction(tools.engine) as connection:
        action_key_rows.set_state(connection, place, state, datetime.now(UTC), outcome)


def _nothing() -> None:
    """Without a key there is nothing to be kept."""


def _digest(action: Action, given: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode([action.name, given], order="deterministic")).hexdigest()


def _invalid(mistakes: Mistakes) -> ActionOutcome:
    told = [{"field": field, "problem": problem} for field, problem in mistakes]
    sentences = " ".join(f"`{field}` {problem}" if field else problem for field, problem in mistakes)
    return ActionOutcome("failed", {}, ActionFailure("invalid-input", sentences, 422, None, {"mistakes": told}))
