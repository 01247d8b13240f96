"""What an action is made of, and what it works with."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Engine

from intercom_api.http.client import IntercomClient
from intercom_api.http.replies import Reply
from intercom_api.rate_limit.lanes import Lane
from workers.actions.outcomes import ActionOutcome

# client_of(workspace_id, lane): None if nobody is connected.
ClientOf = Callable[[str, Lane], IntercomClient | None]
# disconnect(workspace_id, code): called when Intercom refuses a token.
Disconnect = Callable[[str, str], object]
# write_through(workspace_id, method, path, reply): has the mirror learn from an answer.
WriteThrough = Callable[[str, str, str, Reply], None]


class ActionContext(NamedTuple):
    """
    What actions work with.

    `engine` writes, `reader` reads; `owner` is whose idempotency keys they are: "user:ID", "operator" or "workflow".
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
    One action under way.

    `sending` is called right before something is said that must not be said twice. `began_at`: when the action was
    first tried, UTC; later than the present try if that one goes on with an earlier one.
    """

    tools: ActionContext
    client: IntercomClient
    workspace_id: str
    input: Mapping[str, Any]
    began_at: datetime
    sending: Callable[[], None]

    def told(self, method: str, path: str, reply: Reply) -> None:
        """Have the mirror learn from an answer."""
        self.tools.write_through(self.workspace_id, method, path, reply)


Run = Callable[[ActionCall], ActionOutcome]
# Returns mistakes, by the field that they are in.
Check = Callable[[Mapping[str, Any]], list[tuple[str, str]]]


class Action(NamedTuple):
    """
    Something that can be done with one call.

    `schema`: JSON schema of its input; `output`: of its output. `repeatable`: doing it twice is as doing it once.
    `check` finds what is wrong with an input, without asking anybody. `run` does it; it raises IntercomError.
    `settle` finds out whether an earlier try did it, and goes on; None if that cannot be found out.
    """

    name: str
    summary: str
    schema: dict[str, Any]
    output: dict[str, Any]
    repeatable: bool
    check: Check
    run: Run
    settle: Run | None = None
    knows_attributes: bool = False
