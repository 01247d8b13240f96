"""Links: each is present or removed as of the newest fact about it; a complete list is a fact about every link."""

from collections.abc import Mapping
from typing import NamedTuple

from models.rule.needs_refetch import is_order_uncertain
from models.rule.observations import FETCH_RANK, ListFact, PairFact, Stamp
from models.rule.state import LinkState, ListState

# By (name in LINKS, id of the other end).
Links = Mapping[tuple[str, str], LinkState]


class LinkUpdates(NamedTuple):
    """
    What a fact changes about the links of one kind.

    Args:
        links: the links whose memory changes, by other id. None: removed, as the complete list implies, so that
            nothing need be remembered.
        state: the newest lists of the kind.
        conflict: facts that are too close to each other in time differ.
    """

    links: dict[str, LinkState | None]
    state: ListState
    conflict: bool


def apply_pair(links: Links, state: ListState, kind: str, fact: PairFact) -> LinkUpdates:
    """Apply that one link was added or removed."""
    known = _known_link(links, state, kind, fact.other_id)
    if known is None:
        return LinkUpdates({fact.other_id: LinkState(fact.stamp, fact.present)}, state, conflict=False)
    conflict = known.present != fact.present and _is_order_uncertain(known.stamp, fact.stamp)
    if fact.stamp <= known.stamp:
        return LinkUpdates({}, state, conflict)
    return LinkUpdates({fact.other_id: LinkState(fact.stamp, fact.present)}, state, conflict)


def apply_list(links: Links, state: ListState, kind: str, fact: ListFact) -> LinkUpdates:
    """Apply a list: a complete one replaces the links as of its stamp, a cut one only adds."""
    if state.complete is not None and fact.stamp == state.complete:
        return LinkUpdates({}, state, conflict=False)
    if fact.complete and _only_confirms(links, state, kind, fact):
        return LinkUpdates({}, _with_complete(state, fact.stamp), conflict=False)
    updates: dict[str, LinkState | None] = {}
    conflict = False
    for other_id in fact.ids:
        known = _known_link(links, state, kind, other_id)
        if known is None or (known.stamp < fact.stamp and not (known.present and fact.complete)):
            updates[other_id] = LinkState(fact.stamp, present=True)
        conflict |= known is not None and not known.present and _is_order_uncertain(known.stamp, fact.stamp)
    if not fact.complete:
        return LinkUpdates(updates, _with_cut(state, fact.stamp), conflict)
    members = set(fact.ids)
    for link_kind, other_id in links:
        if link_kind != kind or other_id in members:
            continue
        known = _known_link(links, state, kind, other_id)
        assert known is not None  # noqa: S101 -- it is in `links`
        conflict |= known.present and _is_order_uncertain(known.stamp, fact.stamp)
        if known.stamp < fact.stamp:
            updates[other_id] = None
    return LinkUpdates(updates, _with_complete(state, fact.stamp), conflict)


def _only_confirms(links: Links, state: ListState, kind: str, fact: ListFact) -> bool:
    """Return whether a list of a later second has exactly the known links. Most lists do, and the rest is slower."""
    second = fact.stamp.second
    if state.complete is None or state.complete.second >= second:
        return False
    known = {other_id: link for (link_kind, other_id), link in links.items() if link_kind == kind}
    return known.keys() == set(fact.ids) and all(link.present and link.stamp.second < second for link in known.values())


def _known_link(links: Links, state: ListState, kind: str, other_id: str) -> LinkState | None:
    """
    Return what is known about a link from its own facts and from the newest complete list.

    A present link that is older than the complete list was in it, otherwise it would have been removed: so the list
    confirms it.
    """
    link = links.get((kind, other_id))
    if link is None:
        return None if state.complete is None else LinkState(state.complete, present=False)
    if link.present and state.complete is not None and state.complete > link.stamp:
        return LinkState(state.complete, present=True)
    return link


def _is_order_uncertain(one: Stamp, other: Stamp) -> bool:
    early, late = sorted((one, other))
    return one != other and is_order_uncertain(early.second, late.second, fetched_later=late.rank == FETCH_RANK)


def _with_cut(state: ListState, stamp: Stamp) -> ListState:
    return state if state.cut is not None and state.cut >= stamp else ListState(complete=state.complete, cut=stamp)


def _with_complete(state: ListState, stamp: Stamp) -> ListState:
    known = state.complete
    return state if known is not None and known >= stamp else ListState(complete=stamp, cut=state.cut)
