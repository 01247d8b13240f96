"""Following what changed: GET /api/changes, which may wait for something to tell."""

import time
from http import HTTPStatus
from typing import Any

from flask import Response, jsonify, request

from webhooks.api import auth
from webhooks.api.problems import Problem, api

# Lines of one answer, and seconds that one may wait: proxies in between give up after a minute.
MOST_LINES = 1000
USUAL_LINES = 100
LONGEST_WAIT = 30.0

TYPES = ("contact", "company", "tag", "segment")
# Where "the end of the feed" is asked for by name.
NOW = "now"
# Greater than any number that SQL keeps.
_TOO_LARGE = 2**63


@api.get("/changes")
def changes() -> Response:
    """
    Tell the lines of the feed after `after`, at most `limit`, in order; wait up to `wait` seconds for the first.

    `types`: contact, company, tag, segment, separated by commas. `X-Workspace-Id`: of that workspace only.

    Returns:
        `changes`: the lines, see docs/tables.md; `next`: what `after` is to be next time, also if there are none.
    """
    asking = auth.caller()
    limit = _whole("limit", USUAL_LINES, 1, MOST_LINES)
    until = time.monotonic() + _wait()
    types = _types()
    wanted = request.headers.get(auth.WORKSPACE_HEADER)
    desk, after = _desk(), _after()
    while True:
        mark = desk.mark()
        # Each time anew: a user may have been disconnected meanwhile.
        workspaces = _workspaces(asking, wanted)
        found = desk.read(after, limit, workspaces, types)
        if found.pruned is not None:
            raise _too_late(found)
        left = until - time.monotonic()
        if found.lines or left <= 0:
            return _answer(found)
        after = found.next
        desk.wait(mark, left)


def _answer(found: Any) -> Response:
    lines = [{**line._asdict(), "at": line.at.isoformat()} for line in found.lines]
    response = jsonify(changes=lines, next=found.next)
    response.headers["Cache-Control"] = "no-store"
    return response


def _workspaces(asking: auth.Caller, wanted: str | None) -> list[str] | None:
    if asking.user_id is None and not wanted:
        return None
    theirs = auth.workspaces_of(asking)
    return [auth.chosen(wanted, theirs)] if wanted else theirs


def _after() -> int | None:
    """Return the number that is asked after; None for the end of the feed."""
    given = request.args.get("after", NOW)
    return None if given == NOW else _whole("after", 0, 0, _TOO_LARGE - 1)


def _types() -> list[str] | None:
    given = request.args.get("types")
    if given is None:
        return None
    wanted = [each.strip() for each in given.split(",")]
    if not set(wanted) <= set(TYPES):
        raise _bad("types", f"some of {', '.join(TYPES)}, separated by commas")
    return wanted


def _wait() -> float:
    return float(_whole("wait", 0, 0, int(LONGEST_WAIT)))


def _whole(name: str, default: int, least: int, most: int) -> int:
    given = request.args.get(name)
    if given is None:
        return default
    if not (given.isascii() and given.isdigit() and len(given) <= len(str(most)) and least <= int(given) <= most):
        raise _bad(name, f"a whole number from {least} to {most}" + (f", or {NOW}" if name == "after" else ""))
    return int(given)


def _bad(name: str, wanted: str) -> Problem:
    return Problem(
        HTTPStatus.BAD_REQUEST, "bad-query", "The query is not in order", f"`{name}` is {wanted}.", parameter=name
    )


def _too_late(found: Any) -> Problem:
    return Problem(
        HTTPStatus.GONE,
        "resync",
        "The feed does not go back so far",
        "Lines after that number were deleted by age. Read the tables anew, then go on after `next`, which was the end "
        "of the feed before you began to read them.",
        next=found.next,
        oldest=found.pruned,
    )


def _desk() -> Any:
    # It loads SQL, which a process that only receives does without.
    from webhooks.api import feed_reader  # noqa: PLC0415

    return feed_reader
