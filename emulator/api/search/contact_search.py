"""Finding: by the index where it can say what meets a filter, then by looking at what is left, then in order."""

from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from emulator.api.search.contact_index import ORDERED, ContactIndex, IndexedContact
from emulator.api.search.date_ranges import EVER, NEVER, Span
from emulator.api.search.query_parser import SearchFilter, SearchGroup
from emulator.api.search.search_fields import SearchField

# So many results are kept for as long as nothing changes; a syncer has tens of windows open, not hundreds.
_KEPT = 64

# A document's place in the order of a result: what it is ordered by, then its id.
Place = tuple[Any, str]


@dataclass(frozen=True, slots=True)
class SortOrder:
    """By which field, and whether the greatest comes first."""

    field: SearchField
    descending: bool

    def place(self, document: IndexedContact) -> Place:
        """Return where the document stands; what has no value stands first."""
        if self.field.name in ORDERED:
            return document.places[self.field.name]
        value = self.field.read(document)
        if value is None:
            return (0,), document.id
        return ((1, value) if isinstance(value, int | float) else (2, str(value).casefold())), document.id


class ContactSearch:
    """Searches one index and keeps the last results. Hold the workspace's lock around every use."""

    def __init__(self, index: ContactIndex) -> None:
        self._index = index
        self._kept: OrderedDict[str, tuple[int, list[Place]]] = OrderedDict()

    def find(self, key: str, query: SearchFilter | SearchGroup, order: SortOrder) -> list[Place]:
        """
        Return the places of all that the query finds, ascending, whatever the order's direction.

        Args:
            key: equal for equal queries, orders and meanings of days.
            query: as read.
            order: of the result.
        """
        index = self._index
        index.refresh()
        kept = self._kept.pop(key, None)
        if kept is None or kept[0] != index.generation:
            kept = index.generation, _found(index, query, order)
        self._kept[key] = kept
        if len(self._kept) > _KEPT:
            self._kept.popitem(last=False)
        return kept[1]


def _found(index: ContactIndex, query: SearchFilter | SearchGroup, order: SortOrder) -> list[Place]:
    parts = query.parts if isinstance(query, SearchGroup) and query.every else (query,)
    name, span = _narrowest(index, _spans(parts))
    words = [part.word for part in parts if isinstance(part, SearchFilter) and part.word]
    word = min(words, key=lambda one: len(index.words.get(one, ())), default=None)
    ids = None if word is None else index.words.get(word, set())
    if name and (ids is None or _size(index, name, span) < len(ids)):
        places = _between(index.orders[name], span)
        tests = [
            part.test for part in parts if not (isinstance(part, SearchFilter) and part.span and part.field == name)
        ]
        if name == order.field.name:
            return [place for place in places if _meets(index, place[1], tests)] if tests else places
        ids = {place[1] for place in places}
    else:
        tests = [
            part.test for part in parts if not (isinstance(part, SearchFilter) and part.word and part.word == word)
        ]
    candidates = index.documents if ids is None else ids
    return sorted(order.place(index.documents[id_]) for id_ in candidates if _meets(index, id_, tests))


def _meets(index: ContactIndex, id_: str, tests: Iterable[Callable[[IndexedContact], bool]]) -> bool:
    document = index.documents[id_]
    return all(test(document) for test in tests)


def _spans(parts: Iterable[SearchFilter | SearchGroup]) -> dict[str, Span]:
    """Return, for each time that all results must lie in a span of, that span."""
    spans: dict[str, Span] = {}
    for part in parts:
        if isinstance(part, SearchFilter) and part.span:
            from_, until = spans.get(part.field, (EVER, NEVER))
            spans[part.field] = max(from_, part.span[0]), min(until, part.span[1])
        elif isinstance(part, SearchGroup) and not part.every:
            name, span = _hull(part)
            if name:
                from_, until = spans.get(name, (EVER, NEVER))
                spans[name] = max(from_, span[0]), min(until, span[1])
    return spans


def _hull(group: SearchGroup) -> tuple[str, Span]:
    """Return the span around all alternatives, "updated_at > day or = day"; no name if there is none."""
    found = [(part.field, part.span) for part in group.parts if isinstance(part, SearchFilter) and part.span]
    if len(found) < len(group.parts) or len({name for name, _ in found}) != 1:
        return "", (EVER, NEVER)
    return found[0][0], (min(span[0] for _, span in found), max(span[1] for _, span in found))


def _narrowest(index: ContactIndex, spans: dict[str, Span]) -> tuple[str, Span]:
    name = min(spans, key=lambda one: _size(index, one, spans[one]), default="")
    return name, spans.get(name, (EVER, NEVER))


def _ends(order: list[tuple[int, str]], span: Span) -> tuple[int, int]:
    # No id is less than the empty text, and "~" is greater than every hex digit.
    return bisect_left(order, (span[0], "")), bisect_right(order, (span[1], "~"))


def _size(index: ContactIndex, name: str, span: Span) -> int:
    from_, until = _ends(index.orders[name], span)
    return max(0, until - from_)


def _between(order: list[tuple[int, str]], span: Span) -> list[Place]:
    from_, until = _ends(order, span)
    return list(order[from_:until])
