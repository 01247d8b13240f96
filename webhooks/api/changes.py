"""GET /api/changes: the change feed, with long polling."""

import time
from http import HTTPStatus
from typing import Any

from flask import Response, request

from webhooks.api import auth
from webhooks.api.problems import Problem, api, bad_query, integer_parameter, json_response

# Changes in one response, and seconds that a request may wait: proxies in between give up after a minute.
MAX_LIMIT = 1000
DEFAULT_LIMIT = 100
MAX_WAIT_SECONDS = 30

TYPES = ("contact", "company", "tag", "segment")
# The value of `after` that means the end of the feed.
NOW = "now"
# The greatest number that SQL stores.
_MAX_SEQ = 2**63 - 1


@api.get("/changes")
def changes() -> Response:
    """
    Return at most `limit` changes after `after`, in order; wait up to `wait` seconds for the first.

    `types` restricts them to some of contact, company, tag, segment (comma-separated), and X-Workspace-Id to one
    workspace.

    The response has `changes`, described in docs/tables.md, and `next`: the `after` of the next request, also if there
    are no changes.

    1. Note the state of the feed's signal.
    2. Read the changes after `after`.
    3. Return them if there are any, or if the time is over.
    4. Wait for a signal that came after step 1, then repeat.
    """
    caller = auth.authenticate()
    # Imported late: it loads SQL, which a process that only receives notifications does not need.
    from webhooks.api import changes_sql  # noqa: PLC0415

    limit = integer_parameter("limit", 1, MAX_LIMIT) or DEFAULT_LIMIT
    deadline = time.monotonic() + (integer_parameter("wait", 0, MAX_WAIT_SECONDS) or 0)
    types = _types()
    requested = request.headers.get(auth.WORKSPACE_HEADER)
    after = _after()
    while True:
        mark = changes_sql.mark()
        # Determined each time: a user may have been disconnected meanwhile.
        workspaces = _workspaces(caller, requested)
        page = changes_sql.read(after, limit, workspaces, types)
        if page.pruned is not None:
            raise _pruned(page)
        left = deadline - time.monotonic()
        if page.changes or left <= 0:
            listed = [{**change._asdict(), "at": change.at.isoformat()} for change in page.changes]
            return json_response({"changes": listed, "next": page.next})
        after = page.next
        changes_sql.wait(mark, left)


def _workspaces(caller: auth.Caller, requested: str | None) -> list[str] | None:
    """Return the workspaces whose changes a caller reads; None for all of them."""
    if caller.user_id is None and not requested:
        return None
    allowed = auth.allowed_workspaces(caller)
    return [auth.choose_workspace(requested, allowed)] if requested else allowed


def _after() -> int | None:
    """Return the number after which to read; None for the end of the feed."""
    if request.args.get("after", NOW) == NOW:
        return None
    return integer_parameter("after", 0, _MAX_SEQ, f", or {NOW}")


def _types() -> list[str] | None:
    text = request.args.get("types")
    if text is None:
        return None
    types = [each.strip() for each in text.split(",")]
    if not set(types) <= set(TYPES):
        raise bad_query("types", f"a comma-separated list of {', '.join(TYPES)}")
    return types


def _pruned(page: Any) -> Problem:
    return Problem(
        HTTPStatus.GONE,
        "resync",
        "The feed no longer has these changes",
        "Changes after that number were deleted by age. Read the tables again, then continue after `next`, which was "
        "the end of the feed before you began to read them.",
        next=page.next,
        oldest=page.pruned,
    )
