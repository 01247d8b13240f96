"""
Check objects that seem to differ repeatedly, until they are equal, certainly differ, or remain uncertain.

Both sides change while they are compared: a notification may be on its way, an index may lag, a refetch may be due. So
a difference counts only if it stays the same, with no refetch due, for as long as a notification may take to arrive.
"""

from collections.abc import Container, Iterable, Mapping

import msgspec

from workers.verify.context import VerifyContext
from workers.verify.intercom_side import ObjectCheck, check_objects
from workers.verify.outcome import VerifyOutcome

# An object, by type and id.
CandidateKey = tuple[str, str]

# Seconds before the second check, because most changes have been applied by then; doubled before each further check, up
# to `patience` divided by _PAUSES.
_FIRST_PAUSE = 1.0
_PAUSES = 3
# The time for all checks, as a multiple of `patience`; then the remaining objects are uncertain.
_MAX_PATIENCES = 4
# The least seconds between two checks, so that a patience of 0 does not cause a flood of calls.
_MIN_PAUSE = 0.05

# Objects that are rechecked: each check costs some calls, so these take minutes. If more seem to differ, the verdict is
# clear from those, and a reconcile is what helps.
MAX_CANDIDATES = 2_000


class _Candidate(msgspec.Struct):
    """An object to recheck: its last check, and since when (by the clock) its fingerprint has been the same."""

    since: float = 0.0
    fingerprint: bytes | None = None
    last: ObjectCheck | None = None


def recheck(
    context: VerifyContext,
    outcome: VerifyOutcome,
    keys: Iterable[CandidateKey],
    listed: Mapping[str, Container[object]],
) -> list[CandidateKey]:
    """
    Recheck objects and record the results in the outcome.

    1. Fetch each object by id and compare it with the tables (`check_objects`).
    2. Record it and drop it if it is equal, or if it certainly differs: its fingerprint has been the same for
       `patience` seconds, no refetch is due, and every notification that had arrived when it became so was applied.
    3. If objects remain after four times `patience`, record these as unsettled and return.
    4. Otherwise wait, each time longer, and repeat from 1.

    Args:
        context: both sides.
        outcome: where the results are recorded.
        keys: the objects that seemed to differ.
        listed: by type, the ids that Intercom's lists have just contained.

    Returns:
        The objects that certainly differ.
    """
    candidates = {key: _Candidate() for key in keys}
    total, differing = len(candidates), list[CandidateKey]()
    until = context.clock() + _MAX_PATIENCES * context.patience
    pause = _FIRST_PAUSE
    while candidates:
        differing += _check_candidates(context, outcome, candidates, listed)
        context.progress(total - len(candidates), total, "rechecking what may differ")
        if not candidates:
            break
        if context.clock() > until:
            _give_up(outcome, candidates)
            break
        context.sleep(max(min(pause, context.patience / _PAUSES), _MIN_PAUSE))
        pause *= 2
    return differing


def _check_candidates(
    context: VerifyContext,
    outcome: VerifyOutcome,
    candidates: dict[CandidateKey, _Candidate],
    listed: Mapping[str, Container[object]],
) -> list[CandidateKey]:
    """Check all candidates once, remove those with a certain result, and return those that certainly differ."""
    differing = []
    for object_type in sorted({of for of, _ in candidates}):
        ids = [object_id for of, object_id in candidates if of == object_type]
        checks = check_objects(context, outcome.workspace_id, object_type, ids, listed.get(object_type, ()))
        for object_id, check in checks:
            key = (object_type, object_id)
            candidate = candidates[key]
            candidate.last = check
            if check.comparison is None:
                continue
            is_equal = check.comparison.kind == "equal"
            if is_equal or _is_certain(context, candidate, check):
                outcome.record(object_type, object_id, check.comparison)
                differing += [] if is_equal else [key]
                del candidates[key]
    return differing


def _is_certain(context: VerifyContext, candidate: _Candidate, check: ObjectCheck) -> bool:
    """Return whether a difference has been the same for long enough, with nothing pending that could end it."""
    now = context.clock()
    if check.dirty or check.fingerprint != candidate.fingerprint:
        candidate.since, candidate.fingerprint = now, None if check.dirty else check.fingerprint
        return False
    # Every notification that had arrived when the fingerprint became the same must have been applied.
    return now - candidate.since >= context.patience and context.inbox_age() < now - candidate.since


def _give_up(outcome: VerifyOutcome, candidates: Mapping[CandidateKey, _Candidate]) -> None:
    for (object_type, _), candidate in candidates.items():
        outcome.unsettled[object_type] += 1
        outcome.add_reason(_reason(candidate.last))


def _reason(last: ObjectCheck | None) -> str:
    if last is None or last.comparison is None:
        return "Intercom did not respond for some objects. Try again later."
    if last.dirty:
        return "Some objects still wait for a refetch. Is a worker running? See `intercom-mirror status`."
    return "Some objects kept changing, or the inbox has a backlog. Try again when the workspace is less busy."
