"""Links: each pair is present or gone as of the newest fact about it; a complete list is a fact about every pair."""

from collections.abc import Mapping
from typing import NamedTuple

from models.rule.observations import FETCH_RANK, ListFact, PairFact, Stamp
from models.rule.staleness import is_order_uncertain
from models.rule.state import LinkState, ListState

# By (name in LINKS, id of the other end).
Links = Mapping[tuple[str, str], LinkState]


class LinkUpdates(NamedTuple):
    """
    What a fact did to the links of one kind.

    `links`: the pairs whose memory changes, by other id; None: gone, as the complete list implies, so nothing need be
    remembered. `conflict`: facts too close to each other in time disagree.
    """

    links: dict[str, LinkState | None]
    state: ListState
    conflict: bool


def apply_pair(links: Links, state: ListState, kind: str, fact: PairFact) -> LinkUpdates:
    """Take in that one link was made or taken away."""
    known = _known(links, state, kind, fact.other_id)
    if known is None:
        return LinkUpdates({fact.other_id: LinkState(fact.stamp, fact.present)}, state, conflict=False)
    clash = known.present != fact.present and _is_order_uncertain(known.stamp, fact.stamp)
    if fact.stamp <= known.stamp:
        return LinkUpdates({}, state, clash)
    return LinkUpdates({fact.other_id: LinkState(fact.stamp, fact.present)}, state, clash)


def apply_list(links: Links, state: ListState, kind: str, fact: ListFact) -> LinkUpdates:
    """Take in a list: a complete one replaces the set as of its stamp, a cut one only adds."""
    if state.complete is not None and fact.stamp == state.complete:
        return LinkUpdates({}, state, conflict=False)
    if fact.complete and _only_confirms(links, state, kind, fact):
        return LinkUpdates({}, _with_complete(state, fact.stamp), conflict=False)
    changes: dict[str, LinkState | None] = {}
    clash = False
    for other_id in fact.ids:
        known = _known(links, state, kind, other_id)
        if known is None or (known.stamp < fact.stamp and not (known.present and fact.complete)):
            changes[other_id] = LinkState(fact.stamp, present=True)
        clash |= known is not None and not known.present and _is_order_uncertain(known.stamp, fact.stamp)
    if not fact.complete:
        return LinkUpdates(changes, _with_cut(state, fact.stamp), clash)
    return _drop_the_rest(links, state, kind, fact, LinkUpdates(changes, _with_complete(state, fact.stamp), clash))


def _only_confirms(links: Links, state: ListState, kind: str, fact: ListFact) -> bool:
    """Tell, for most lists there are, that this one says in a later second just what is known; the rest is slower."""
    second = fact.stamp.second
    if state.complete is None or state.complete.second >= second:
        return False
    known = {other_id: link for (link_kind, other_id), link in links.items() if link_kind == kind}
    return known.keys() == set(fact.ids) and all(link.present and link.stamp.second < second for link in known.values())


def _drop_the_rest(links: Links, state: ListState, kind: str, fact: ListFact, so_far: LinkUpdates) -> LinkUpdates:
    members = set(fact.ids)
    clash = so_far.conflict
    for link_kind, other_id in links:
        if link_kind != kind or other_id in members:
            continue
        known = _known(links, state, kind, other_id)
        assert known is not None  # noqa: S101 -- it stands in `links`
        clash |= known.present and _is_order_uncertain(known.stamp, fact.stamp)
        if known.stamp < fact.stamp:
            so_far.links[other_id] = None
    return so_far if clash == so_far.conflict else so_far._replace(conflict=clash)


def _known(links: Links, state: ListState, kind: str, other_id: str) -> LinkState | None:
    """
    What is known of a pair from its own facts and from the newest complete list.

    A present link older than the complete list was in it, else it would have been dropped: the list confirms it.
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
