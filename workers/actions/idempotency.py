"""
Performs an action at most once for each idempotency key.

A key is a row of `action_keys`, identified by workspace, owner and key. Its states:

    (no row) ---a---> reserved ---b---> sending <-----------+
                       |  ^  |           |  ^  |            |
                       |  +-g+           |  +-h+            |
                       |                 |                  |
                       +---------+-------+                  |
                                 +---c---> done             |
                                 +---d---> failed           |
                                 +---e---> unknown ----i----+
                                 +---f---> (no row)

    done, failed, unknown ---j---> (no row)

    a  The first call with the key inserts the row, with a lease (`_open`).
    b  `mark_sending`, directly before a request that must not be sent twice (`_mark_sending`). Repeatable actions and
       actions that only read stay reserved.
    c  Intercom performed the action (`_close`).
    d  Intercom refused the action for good (`_close`).
    e  The request was sent and had no response, or a later attempt could not find out how it ended (`_close`).
    f  Intercom certainly did nothing and may do so later, or the input or the connection was not usable: the row is
       deleted, so that the same key can be used again (`_close`).
    g  The process crashed before it sent anything, and its lease has ended: the next call starts again (`resume`).
    h  The process crashed while it sent, and its lease has ended: the next call performs a repeatable action again, and
       otherwise checks in Intercom (`Action.resolve`). An action without `resolve` stays here, and each call returns
       "Outcome unknown" (`resume`).
    i  The next call with the key checks in Intercom (`resume`). An action without `resolve` stays unknown.
    j  The row is older than RETENTION_DAYS (`workers.prune`).

Calls with a key that is done or failed return the stored outcome. A call while a lease runs returns "in-progress".
"""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from functools import partial
from http import HTTPStatus
from typing import Any, NamedTuple

import msgspec
import structlog
from sqlalchemy.exc import DBAPIError

from intercom_api.errors import IntercomError, NotAuthorizedError
from models.db.engine import transaction
from models.queries import action_key_rows
from models.queries.action_key_rows import ActionKey, ActionKeyRow
from workers.actions.custom_attributes import check_attributes
from workers.actions.definition import Action, ActionCall, ActionContext, PerformAction
from workers.actions.fields import Mistakes
from workers.actions.outcomes import ActionFailure, ActionOutcome, failed, from_error, unknown

log = structlog.get_logger()

# Seconds after which a process that works on a key counts as crashed. An action takes less: 12 s until the rate limit
# lets it through, and two tries of 10 s for each of three requests.
LEASE_SECONDS = 120

# Codes of failures that depend on the input or the connection and not on the action: the key can be used again.
_KEY_REUSABLE = frozenset({"invalid-input", "not-connected", "disconnected"})


class Attempt(NamedTuple):
    """
    How to perform an action for a key.

    `began_at`: the time of the first attempt with the key. `may_be_done`: an earlier attempt may have performed it.
    """

    perform: PerformAction
    began_at: datetime
    may_be_done: bool = False


def perform_once(
    context: ActionContext, action: Action, workspace_id: str, given: Mapping[str, Any], *, key: str | None = None
) -> ActionOutcome:
    """
    Perform an action.

    1. Check the input; a wrong one ends here, and the key stays unused.
    2. Without a key: make one attempt and return its outcome.
    3. In one transaction, reserve the key; if its row exists, lock the row and decide by `resume`. A stored outcome, or
       an attempt of another process whose lease still runs, ends here.
    4. Make the attempt. Directly before a request that must not be sent twice, set the key to `sending`.
    5. Store the outcome with the key, or delete the key if the same call may succeed later.

    Args:
        context: of the caller.
        action: one of `workers.actions.catalogue.ACTIONS`.
        workspace_id: where to perform it.
        given: its input.
        key: the same key with the same input has the same outcome; None: each call performs the action.

    Raises:
        sqlalchemy.exc.OperationalError: the database is unavailable; nothing was done.
    """
    if mistakes := action.check(given):
        return _invalid_input(mistakes)
    if key is None:
        return _attempt(context, action, workspace_id, given, Attempt(action.perform, datetime.now(UTC)), _do_nothing)
    place = ActionKey(workspace_id, context.owner, key)
    opened = _open(context, place, action, _digest(action, given))
    if isinstance(opened, ActionOutcome):
        return opened
    outcome = _attempt(context, action, workspace_id, given, opened, partial(_mark_sending, context, place))
    _close(context, place, outcome, may_be_done=opened.may_be_done)
    return outcome


def resume(action: Action, digest: str, row: ActionKeyRow, now: datetime) -> ActionOutcome | Attempt:
    """Decide what to do with a key that was used before: return its outcome, or how to attempt the action again."""
    if (row.action, row.digest) != (action.name, digest):
        return failed(
            "key-reused",
            "This Idempotency-Key was used for another action or input. Use a new one.",
            HTTPStatus.UNPROCESSABLE_ENTITY,
        )
    stored = None if row.outcome is None else msgspec.convert(row.outcome, ActionOutcome)
    if stored is not None and row.state in (action_key_rows.DONE, action_key_rows.FAILED):
        return stored
    if row.state in (action_key_rows.RESERVED, action_key_rows.SENDING) and row.lease_until > now:
        detail = "The same action with this Idempotency-Key is in progress. Try again later."
        return failed("in-progress", detail, HTTPStatus.CONFLICT, (row.lease_until - now).total_seconds())
    if row.state == action_key_rows.RESERVED or action.repeatable:
        return Attempt(action.perform, row.began_at)
    if action.resolve is not None:
        return Attempt(action.resolve, row.began_at, may_be_done=True)
    return stored or unknown(
        "The process stopped while it sent the request to Intercom, so it is unknown whether Intercom received it. The "
        "request is not sent again. Check in Intercom, and use another Idempotency-Key to perform the action again."
    )


def _open(context: ActionContext, place: ActionKey, action: Action, digest: str) -> ActionOutcome | Attempt:
    now = datetime.now(UTC)
    until = now + timedelta(seconds=LEASE_SECONDS)
    with transaction(context.engine) as connection:
        if action_key_rows.reserve(connection, place, action.name, digest, now, until):
            return Attempt(action.perform, now)
        row = action_key_rows.read(connection, place)
        if row is None:
            # Deleted since: the other call ended without a lasting outcome.
            detail = "The other call with this Idempotency-Key has just ended. Try again."
            return failed("in-progress", detail, HTTPStatus.CONFLICT, 1.0)
        resumed = resume(action, digest, row, now)
        if isinstance(resumed, Attempt):
            action_key_rows.extend_lease(connection, place, until)
        return resumed


def _attempt(
    context: ActionContext,
    action: Action,
    workspace_id: str,
    given: Mapping[str, Any],
    attempt: Attempt,
    mark_sending: Callable[[], None],
) -> ActionOutcome:
    try:
        client = context.client_of(workspace_id, context.lane)
        if client is None:
            detail = "The workspace is not connected. Connect it, then try again."
            return failed("not-connected", detail, HTTPStatus.CONFLICT)
        if action.has_custom_attributes:
            mistakes = check_attributes(context.reader, client, given.get("custom_attributes") or {})
            if mistakes:
                return _invalid_input(mistakes)
        return attempt.perform(ActionCall(context, client, workspace_id, given, attempt.began_at, mark_sending))
    except NotAuthorizedError as error:
        context.disconnect(workspace_id, error.code)
        return from_error(error)
    except IntercomError as error:
        return from_error(error)


def _close(context: ActionContext, place: ActionKey, outcome: ActionOutcome, *, may_be_done: bool) -> None:
    """
    Store the outcome, or delete the key if the same call may succeed later.

    The key is not deleted if an earlier attempt may have performed the action, because the next call must know of that.
    """
    may_succeed_later = outcome.error is not None and (
        outcome.error.retry_after_seconds is not None or outcome.error.code in _KEY_REUSABLE
    )
    try:
        with transaction(context.engine) as connection:
            if outcome.status == "failed" and may_succeed_later and not may_be_done:
                action_key_rows.delete(connection, place)
            else:
                state = action_key_rows.UNKNOWN if may_succeed_later else outcome.status
                action_key_rows.set_state(connection, place, state, datetime.now(UTC), msgspec.to_builtins(outcome))
    except DBAPIError as error:
        # The caller gets the outcome. The key stays open, and the next call with it is resumed.
        log.warning("outcome of an action not stored", workspace_id=place.workspace_id, error=type(error).__name__)


def _mark_sending(context: ActionContext, place: ActionKey) -> None:
    with transaction(context.engine) as connection:
        action_key_rows.set_state(connection, place, action_key_rows.SENDING, datetime.now(UTC), None)


def _do_nothing() -> None:
    """Without a key there is no state to store."""


def _digest(action: Action, given: Mapping[str, Any]) -> str:
    return hashlib.sha256(msgspec.json.encode([action.name, given], order="deterministic")).hexdigest()


def _invalid_input(mistakes: Mistakes) -> ActionOutcome:
    listed = [{"field": field, "problem": problem} for field, problem in mistakes]
    detail = " ".join(f"`{field}` {problem}" if field else problem for field, problem in mistakes)
    error = ActionFailure("invalid-input", detail, HTTPStatus.UNPROCESSABLE_ENTITY, None, {"mistakes": listed})
    return ActionOutcome("failed", {}, error)
