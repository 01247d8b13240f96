"""The parts of an action, the context that actions work in, and one call of an action."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine

from intercom_api.http.client import IntercomClient
from intercom_api.http.replies import Reply
from intercom_api.rate_limit.lanes import Lane
from workers.actions.outcomes import ActionOutcome

# client_of(workspace_id, lane): a client for the workspace; None if no user is connected to it.
ClientOf = Callable[[str, Lane], IntercomClient | None]
# disconnect(workspace_id, code): called when Intercom refuses a token.
Disconnect = Callable[[str, str], object]
# write_through(workspace_id, method, path, reply): applies what a reply shows to the mirror.
WriteThrough = Callable[[str, str, str, Reply], None]


class ActionContext(NamedTuple):
    """
    The resources that actions work with.

    `engine` writes to the database, `reader` only reads. `owner` is the owner of the idempotency keys: "user:ID",
    "operator" or "workflow". `lane` is the lane of the rate limit.
    """

    engine: Engine
    reader: Engine
    client_of: ClientOf
    disconnect: Disconnect
    write_through: WriteThrough
    owner: str
    lane: Lane = Lane.INTERACTIVE


class ActionCall(NamedTuple):
    """
    One attempt to perform an action.

    `mark_sending` is called directly before a request that must not be sent twice. `began_at` is the time of the first
    attempt with the same idempotency key, in UTC; an attempt that continues an earlier one has the earlier time.
    """

    context: ActionContext
    client: IntercomClient
    workspace_id: str
    input: Mapping[str, Any]
    began_at: datetime
    mark_sending: Callable[[], None]

    def write_through(self, method: str, path: str, reply: Reply) -> None:
        """Apply what a reply shows to the mirror."""
        self.context.write_through(self.workspace_id, method, path, reply)


PerformAction = Callable[[ActionCall], ActionOutcome]
# Returns the mistakes in an input, each with the name of its field.
CheckInput = Callable[[Mapping[str, Any]], list[tuple[str, str]]]


class Action(NamedTuple):
    """
    An operation on Intercom that a user or a workflow performs with one call.

    `schema` and `output` are the JSON schemas of its input and output. `repeatable`: performing it twice has the same
    effect as performing it once. `check` finds mistakes in an input without a request. `perform` performs it and raises
    IntercomError. `resolve` finds out whether an earlier attempt performed it, and performs it if not; None if that
    cannot be found out. `has_custom_attributes`: the input may hold `custom_attributes`, which must exist in Intercom.
    """

    name: str
    summary: str
    schema: dict[str, Any]
    output: dict[str, Any]
    repeatable: bool
    check: CheckInput
    perform: PerformAction
    resolve: PerformAction | None = None
    has_custom_attributes: bool = False
