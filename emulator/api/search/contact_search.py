"""Runs search queries on the index."""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from emulator.api.search.contact_index import ORDERED, ContactIndex, IndexedContact, Term, TimePosition
from emulator.api.search.date_ranges import EARLIEST, LATEST, DateRange
from emulator.api.search.operators import Predicate
from emulator.api.search.query_parser import SearchFilter, SearchGroup
from emulator.api.search.search_fields import SearchField

# The number of cached results. A backfill reads tens of windows at the same time, not hundreds.
_CACHED = 64

# A contact's position in the order of a result: the value that it is sorted by, then its id.
Position = tuple[Any, str]


@dataclass(frozen=True, slots=True)
class SortOrder:
    """The field to sort by, and whether the greatest value comes first."""

    field: SearchField
    descending: bool

    def position(self, contact: IndexedContact) -> Position:
        """Return the position of a contact; one without a value comes first."""
        if self.field.name in ORDERED:
            return contact.positions[self.field.name]
        value = self.field.read(contact)
        if value is None:
            return (0,), contact.id
        return ((1, value) if isinstance(value, int | float) else (2, str(value).casefold())), contact.id


class ContactSearch:
    """Searches one index and caches the last results. Hold the workspace's lock around every use."""

    def __init__(self, index: ContactIndex) -> None:
        self._index = index
        self._cache: OrderedDict[str, tuple[int, list[Position]]] = OrderedDict()

    def find(self, cache_key: str, query: SearchFilter | SearchGroup, order: SortOrder) -> list[Position]:
        """
        Return the positions of all matching contacts, ascending whatever the direction of the order.

        Args:
            cache_key: equal for equal queries, sort fields and meanings of days.
            query: the parsed query.
            order: the order of the result.
        """
        index = self._index
        index.refresh()
        entry = self._cache.pop(cache_key, None)
        if entry is None or entry[0] != index.generation:
            entry = index.generation, _run_query(index, query, order)
        self._cache[cache_key] = entry
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return entry[1]


def _run_query(index: ContactIndex, query: SearchFilter | SearchGroup, order: SortOrder) -> list[Position]:
    """
    Run a query.

    1. Collect the date ranges and the terms that every result must meet.
    2. Choose the one that leaves the fewest candidates in the index.
    3. Check the remaining conditions on each candidate.
    4. Sort, unless the index already has this order.
    """
    parts = query.parts if isinstance(query, SearchGroup) and query.conjunction else (query,)
    name, range_ = _narrowest(index, _required_ranges(parts))
    terms = [part.term for part in parts if isinstance(part, SearchFilter) and part.term]
    term = min(terms, key=lambda each: len(index.terms.get(each, ())), default=None)
    ids = None if term is None else index.terms.get(term, set())
    if name and (ids is None or _size(index, name, range_) < len(ids)):
        positions = _between(index.orders[name], range_)
        predicates = [part.matches for part in parts if not _is_range_of(part, name)]
        if name == order.field.name:
            if not predicates:
                return positions
            return [position for position in positions if _meets_all(index, position[1], predicates)]
        ids = {position[1] for position in positions}
    else:
        predicates = [part.matches for part in parts if not _is_term(part, term)]
    candidates = index.contacts if ids is None else ids
    return sorted(order.position(index.contacts[id_]) for id_ in candidates if _meets_all(index, id_, predicates))


def _meets_all(index: ContactIndex, id_: str, predicates: Iterable[Predicate]) -> bool:
    contact = index.contacts[id_]
    return all(matches(contact) for matches in predicates)


def _is_range_of(part: SearchFilter | SearchGroup, name: str) -> bool:
    return isinstance(part, SearchFilter) and part.range is not None and part.field == name


def _is_term(part: SearchFilter | SearchGroup, term: Term | None) -> bool:
    return isinstance(part, SearchFilter) and part.term is not None and part.term == term


def _required_ranges(parts: Iterable[SearchFilter | SearchGroup]) -> dict[str, DateRange]:
    """Return the range that every result must lie in, for each time that has one."""
    ranges: dict[str, DateRange] = {}
    for part in parts:
        name, range_ = _range_of_part(part)
        if name:
            first, last = ranges.get(name, (EARLIEST, LATEST))
            ranges[name] = max(first, range_[0]), min(last, range_[1])
    return ranges


def _range_of_part(part: SearchFilter | SearchGroup) -> tuple[str, DateRange]:
    """
    Return the time that a part limits and the limits; the name is empty if the part limits none.

    For an "OR" group it is the smallest range around all alternatives, such as "updated_at > day or = day".
    """
    unlimited = "", (EARLIEST, LATEST)
    if isinstance(part, SearchFilter):
        return (part.field, part.range) if part.range else unlimited
    if part.conjunction:
        return unlimited
    alternatives = [(each.field, each.range) for each in part.parts if isinstance(each, SearchFilter) and each.range]
    if len(alternatives) < len(part.parts) or len({name for name, _ in alternatives}) != 1:
        return unlimited
    return alternatives[0][0], (
        min(range_[0] for _, range_ in alternatives),
        max(range_[1] for _, range_ in alternatives),
    )


def _narrowest(index: ContactIndex, ranges: dict[str, DateRange]) -> tuple[str, DateRange]:
    name = min(ranges, key=lambda each: _size(index, each, ranges[each]), default="")
    return name, ranges.get(name, (EARLIEST, LATEST))


def _bounds(order: list[TimePosition], range_: DateRange) -> tuple[int, int]:
    # The empty text sorts before every id; "~" sorts after every hex digit.
    return bisect_left(order, (range_[0], "")), bisect_right(order, (range_[1], "~"))


def _size(index: ContactIndex, name: str, range_: DateRange) -> int:
    start, end = _bounds(index.orders[name], range_)
    return max(0, end - start)


def _between(order: list[TimePosition], range_: DateRange) -> list[Position]:
    start, end = _bounds(order, range_)
    return list(order[start:end])
