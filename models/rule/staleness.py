"""Doubts: when an object is to be fetched again, and when a fetch has answered."""

from msgspec.structs import replace

from models.rule.content import differs
from models.rule.observations import ListFact, Observation
from models.rule.state import ObjectState

# The lists that a whole form carries; while one is not known completely, the row may lack links.
_EMBEDDED = {"contact": ("contact_companies", "contact_tags"), "company": ("company_tags",)}

# Seconds. An envelope's created_at is when the notification was made, up to about a second after what it tells, and is
# cut to whole seconds; so two notifications this close to each other may tell of things in the other order.
CLOCK_SKEW_SECONDS = 2


def is_order_uncertain(early: int, late: int, *, fetched_later: bool) -> bool:
    """
    Tell whether the order of two facts is in doubt; `early` and `late` are the unix seconds of their stamps.

    A fetch's own time is the earliest that it may speak of, so it is later than any notification of a second before.
    """
    return late - early <= (0 if fetched_later else CLOCK_SKEW_SECONDS)


def update_dirty_counters(after: ObjectState, seen: Observation, *, doubt: bool) -> ObjectState:
    """Count the doubts, and clear those that this observation answers."""
    clean = after.clean
    if seen.refetched_from is not None and _is_as_found(after, seen):
        clean = max(clean, seen.refetched_from)
    unknown = not after.registers.gone and after.registers.version is None
    doubt |= (
        after.dirty <= clean and seen.confirmed_at_ms is None and (unknown or not _lists_complete(seen.type, after))
    )
    doubt |= seen.from_listing and not _is_as_listed(after, seen)
    if not doubt and clean == after.clean:
        return after
    return replace(after, dirty=after.dirty + doubt, clean=clean)


def _is_as_found(after: ObjectState, seen: Observation) -> bool:
    """
    Tell whether a GET decided: the object is now as it says.

    If not, something else is known that seems newer. It may be newer, or the GET's `as_of`, which is the earliest
    moment that it may speak of, lies before what it saw, or it came from a copy that lags: ask again later.
    """
    registers, archived = after.registers, seen.archived
    if seen.confirmed_at_ms is None or registers.gone:
        return seen.confirmed_at_ms is None and registers.gone
    if seen.version is not None and registers.version is not None and seen.version.second < registers.version.second:
        return False
    # Some answers do not say whether it is archived; where that was the doubt, they leave it.
    if registers.is_archived != archived.archived if archived is not None else registers.is_archived_uncertain:
        return False
    # Two answers may speak of the same moment and differ: the whole seconds of their Date headers hide which is later.
    if after.content is not None and seen.content is not None and differs(after.content, seen.content):
        return False
    return all(_list_is_as_found(after, kind, fact) for kind, fact in seen.lists.items() if fact.complete)


def _list_is_as_found(after: ObjectState, kind: str, fact: ListFact) -> bool:
    present = {other_id for (link_kind, other_id), link in after.links.items() if link_kind == kind and link.present}
    return present == set(fact.ids) and after.registers.lists[kind].is_complete


def _is_as_listed(after: ObjectState, seen: Observation) -> bool:
    """
    Tell whether what we hold is what a list or a search says.

    If not, either of the two may be behind: an index lags, and a notification may have been lost.
    """
    registers = after.registers
    if registers.gone:
        return True
    for kind, pair in seen.pairs.items():
        link = after.links.get((kind, pair.other_id))
        if pair.present != (link is not None and link.present):
            return False
    if after.content is None or seen.version is None or registers.version is None:
        return True
    # Lists and searches hide what is archived.
    if registers.is_archived:
        return False
    as_new = seen.version.second >= registers.version.second
    if as_new and seen.content is not None and differs(after.content, seen.content):
        return False
    return all(_holds_list(after, kind, fact) for kind, fact in seen.lists.items())


def _holds_list(after: ObjectState, kind: str, fact: ListFact) -> bool:
    present = {other_id for (link_kind, other_id), link in after.links.items() if link_kind == kind and link.present}
    return present == set(fact.ids) if fact.complete else present.issuperset(fact.ids)


def _lists_complete(object_type: str, state: ObjectState) -> bool:
    if state.registers.version is None:
        return True
    lists = state.registers.lists
    return all(kind in lists and lists[kind].is_complete for kind in _EMBEDDED.get(object_type, ()))
