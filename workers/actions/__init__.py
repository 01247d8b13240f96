"""The five ready actions, each done with one call: by the application over HTTP, and by the steps of workflows."""

from collections.abc import Mapping
from typing import Any

from workers.actions import contacts, idempotency, messages
from workers.actions.definition import Action, Tools
from workers.actions.outcomes import Failure, Outcome

__all__ = ["ACTIONS", "Action", "Failure", "Outcome", "Tools", "perform"]

ACTIONS: dict[str, Action] = {action.name: action for action in (*contacts.ACTIONS, messages.SEND_MESSAGE)}


def perform(tools: Tools, workspace_id: str, name: str, given: Mapping[str, Any], *, key: str | None = None) -> Outcome:
    """Do the action of this name in ACTIONS; see `workers.actions.idempotency.perform`."""
    return idempotency.perform(tools, ACTIONS[name], workspace_id, given, key=key)
