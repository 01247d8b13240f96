"""One verification, from the first page to the mark that it leaves."""

from datetime import UTC, datetime
from typing import Literal

from intercom_api.errors import IntercomError, NotAuthorizedError
from workers.verify.context import VerifyContext
from workers.verify.data_attributes import attributes
from workers.verify.full import Walk
from workers.verify.id_set import Seen
from workers.verify.outcome import VerifyOutcome, mark
from workers.verify.quick import counts, sample
from workers.verify.recheck import Key, settle
from workers.verify.repair import repair as put_right

Mode = Literal["full", "quick"]


def verify(tools: VerifyContext, workspace_id: str, mode: Mode, *, repair: bool = False) -> VerifyOutcome:
    """
    Compare the tables with Intercom.

    Args:
        tools: both sides.
        workspace_id: a workspace that somebody is connected to.
        mode: "full" compares everything; "quick" counts, and looks at a sample.
        repair: have what differs fetched again, and judge it by how it is then.

    Returns:
        What was found; it stands in sync_status too.

    Raises:
        NotAuthorizedError: the token opens nothing any more; the caller disconnects.
    """
    outcome = VerifyOutcome(workspace_id, mode)
    try:
        candidates, shown = _first_look(tools, outcome)
        certain = settle(tools, outcome, sorted(candidates), shown)
        if repair and certain:
            put_right(tools, outcome, certain, shown)
    except NotAuthorizedError:
        raise
    except IntercomError as error:
        outcome.add_reason(str(error))
    mark(tools.writer, outcome, datetime.now(UTC))
    return outcome


def _first_look(tools: VerifyContext, outcome: VerifyOutcome) -> tuple[set[Key], dict[str, Seen]]:
    if outcome.mode == "quick":
        counts(tools, outcome)
        return sample(tools, outcome)
    walk = Walk(tools, outcome)
    for object_type in ("contact", "company", "tag", "segment"):
        walk.listed(object_type)
        walk.unlisted(object_type)
    attributes(tools, outcome)
    return walk.candidates, walk.shown
