"""
Looking again at what seemed to differ, until it is equal, surely differs, or cannot be told.

Both sides move while they are compared: a notification may be on its way, an index behind, a refetch owed. So a
difference counts only if it stays the same, and nothing is owed, for as long as a notification may take.
"""

from collections.abc import Iterable

import msgspec

from workers.verify.context import VerifyContext
from workers.verify.id_set import Seen
from workers.verify.intercom_side import ObjectCheck, check_objects
from workers.verify.outcome import VerifyOutcome

# An object, by type and id.
Key = tuple[str, str]

# Seconds before the second look, as most of what moves has settled by then; doubled before each further one, up to a
# share of the time that a difference must stay the same.
_FIRST_PAUSE = 1.0
_SHARE = 3
# How many times that time is spent in all, before what is still open is given up.
_TIMES = 4
# Seconds between two looks at least, so that no patience at all is not a storm of calls.
_SHORTEST_PAUSE = 0.05

# Candidates that are looked at again: each look costs some calls, so these take minutes. Where more seem to differ,
# the verdict is clear from those, and a reconcile is what helps.
MOST = 2_000


class _Doubt(msgspec.Struct):
    """One candidate: since when (by the clock) both sides are as they are now, and how they are."""

    since: float = 0.0
    state: bytes | None = None
    last: ObjectCheck | None = None


def settle(
    tools: VerifyContext, outcome: VerifyOutcome, candidates: Iterable[Key], shown: dict[str, Seen]
) -> list[Key]:
    """
    Judge candidates and count them in the outcome.

    Args:
        tools: both sides.
        outcome: where the findings go.
        candidates: what seemed to differ.
        shown: by type, what Intercom's lists have just shown.

    Returns:
        Those that surely differ.
    """
    open_ones = {key: _Doubt() for key in candidates}
    total, certain = len(open_ones), list[Key]()
    until = tools.clock() + _TIMES * tools.patience
    pause = _FIRST_PAUSE
    while open_ones:
        certain += _round(tools, outcome, open_ones, shown)
        tools.progress(total - len(open_ones), total, "looking again at what may differ")
        if not open_ones:
            break
        if tools.clock() > until:
            _give_up(outcome, open_ones)
            break
        tools.sleep(max(min(pause, tools.patience / _SHARE), _SHORTEST_PAUSE))
        pause *= 2
    return certain


def _round(
    tools: VerifyContext, outcome: VerifyOutcome, open_ones: dict[Key, _Doubt], shown: dict[str, Seen]
) -> list[Key]:
    certain = []
    for object_type in sorted({of for of, _ in open_ones}):
        ids = [object_id for of, object_id in open_ones if of == object_type]
        for object_id, seen in check_objects(
            tools, outcome.workspace_id, object_type, ids, shown.get(object_type, Seen())
        ):
            key = (object_type, object_id)
            add_reason = open_ones[key]
            add_reason.last = seen
            if seen.comparison is None:
                continue
            if seen.comparison.kind == "equal" or _stays(tools, add_reason, seen):
                outcome.record(object_type, object_id, seen.comparison)
                certain += [key] if seen.comparison.kind != "equal" else []
                del open_ones[key]
    return certain


def _stays(tools: VerifyContext, add_reason: _Doubt, seen: ObjectCheck) -> bool:
    """Tell whether a difference has been the same for long enough, with nothing on its way that could end it."""
    now = tools.clock()
    if seen.dirty or seen.state != add_reason.state:
        add_reason.since, add_reason.state = now, None if seen.dirty else seen.state
        return False
    # Everything that had arrived when it began to be so must have been applied.
    return now - add_reason.since >= tools.patience and tools.inbox_age() < now - add_reason.since


def _give_up(outcome: VerifyOutcome, open_ones: dict[Key, _Doubt]) -> None:
    for (object_type, _), add_reason in open_ones.items():
        outcome.unsettled[object_type] += 1
        outcome.add_reason(_why(add_reason.last))


def _why(last: ObjectCheck | None) -> str:
    if last is None or last.comparison is None:
        return "Intercom did not answer for some objects. Try again later."
    if last.dirty:
        return "Some objects stay in doubt: their refetch is owed. Is a worker running? See `intercom-mirror status`."
    return "Some objects kept changing, or the inbox is behind. Try again in a quieter hour."
