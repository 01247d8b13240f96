"""When an object must be fetched again (it is dirty), and when a fetch has settled that."""

from msgspec.structs import replace

from models.rule.merge_content import differs
from models.rule.observations import ListFact, Observation
from models.rule.state import ObjectState

# The lists that a whole form carries. While one of them is not known completely, link rows may be missing.
_EMBEDDED = {"contact": ("contact_companies", "contact_tags"), "company": ("company_tags",)}

# Seconds. A notification's created_at is when the notification was made, up to about a second after the change that it
# describes, and is cut to whole seconds. So the changes behind two notifications this close to each other may have
# happened in the other order.
CLOCK_SKEW_SECONDS = 2


def is_order_uncertain(early: int, late: int, *, fetched_later: bool) -> bool:
    """
    Return whether two facts may have happened in the other order.

    Args:
        early: unix second of the earlier stamp.
        late: unix second of the later stamp.
        fetched_later: the later stamp is a fetch's. A fetch's own time is the earliest moment that it can describe, so
            it is later than any notification of a second before.
    """
    return late - early <= (0 if fetched_later else CLOCK_SKEW_SECONDS)


def update_dirty_counters(after: ObjectState, observation: Observation, *, uncertain: bool) -> ObjectState:
    """
    Add a reason to refetch the object, and clear those reasons that this observation settles.

    Args:
        after: the object with the observation applied.
        observation: what was applied.
        uncertain: the rule found facts that contradict each other.
    """
    clean = after.clean
    if observation.refetched_from is not None and _matches_fetch(after, observation):
        clean = max(clean, observation.refetched_from)
    has_no_row = not after.registers.gone and after.registers.version is None
    lacks_data = has_no_row or not _are_lists_complete(observation.type, after)
    dirty = uncertain or (after.dirty <= clean and observation.confirmed_at_ms is None and lacks_data)
    dirty |= observation.from_listing and not _matches_listing(after, observation)
    if not dirty and clean == after.clean:
        return after
    return replace(after, dirty=after.dirty + dirty, clean=clean)


def _matches_fetch(after: ObjectState, observation: Observation) -> bool:
    """
    Return whether a GET by id decided: the object is now as the response describes it.

    If not, something else is known that seems newer. It may be newer; or the GET's `as_of`, the earliest moment that it
    can describe, is before the moment of its data; or a lagging replica sent it. So the object is fetched again.
    """
    registers, archived = after.registers, observation.archived
    if observation.confirmed_at_ms is None or registers.gone:
        return observation.confirmed_at_ms is None and registers.gone
    version = observation.version
    if version is not None and registers.version is not None and version.second < registers.version.second:
        return False
    # Some responses do not contain whether the object is archived; they leave that question open.
    if registers.is_archived != archived.archived if archived is not None else registers.is_archived_uncertain:
        return False
    # Two responses may describe the same moment and differ: their Date headers have whole seconds and do not show which
    # one is later.
    if after.content is not None and observation.content is not None and differs(after.content, observation.content):
        return False
    return all(_has_exactly(after, kind, fact) for kind, fact in observation.lists.items() if fact.complete)


def _has_exactly(after: ObjectState, kind: str, fact: ListFact) -> bool:
    return _present_ids(after, kind) == set(fact.ids) and after.registers.lists[kind].is_complete


def _matches_listing(after: ObjectState, observation: Observation) -> bool:
    """
    Return whether the mirror has what a list or a search returned.

    If not, either side may be behind: a search index lags, and a notification may be lost.
    """
    registers = after.registers
    if registers.gone:
        return True
    for kind, pair in observation.pairs.items():
        link = after.links.get((kind, pair.other_id))
        if pair.present != (link is not None and link.present):
            return False
    if after.content is None or observation.version is None or registers.version is None:
        return True
    # Lists and searches hide archived objects.
    if registers.is_archived:
        return False
    as_new = observation.version.second >= registers.version.second
    if as_new and observation.content is not None and differs(after.content, observation.content):
        return False
    return all(_has_list(after, kind, fact) for kind, fact in observation.lists.items())


def _has_list(after: ObjectState, kind: str, fact: ListFact) -> bool:
    present = _present_ids(after, kind)
    return present == set(fact.ids) if fact.complete else present.issuperset(fact.ids)


def _present_ids(state: ObjectState, kind: str) -> set[str]:
    return {other_id for (link_kind, other_id), link in state.links.items() if link_kind == kind and link.present}


def _are_lists_complete(object_type: str, state: ObjectState) -> bool:
    if state.registers.version is None:
        return True
    lists = state.registers.lists
    return all(kind in lists and lists[kind].is_complete for kind in _EMBEDDED.get(object_type, ()))
