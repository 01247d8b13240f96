"""The five actions by name. The HTTP API and the steps of workflows perform actions through this module."""

from collections.abc import Mapping
from typing import Any

from workers.actions import contacts, idempotency, messages
from workers.actions.definition import Action, ActionContext
from workers.actions.outcomes import ActionOutcome

ACTIONS: dict[str, Action] = {action.name: action for action in (*contacts.ACTIONS, messages.SEND_MESSAGE)}


def perform(
    context: ActionContext, workspace_id: str, name: str, given: Mapping[str, Any], *, key: str | None = None
) -> ActionOutcome:
    """Perform the action of this name in ACTIONS; see `workers.actions.idempotency.perform_once`."""
    return idempotency.perform_once(context, ACTIONS[name], workspace_id, given, key=key)
