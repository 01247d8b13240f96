"""
The query of a search: filters, in groups, in one more group at most.

Source:
    Intercom's OpenAPI description 2.16, POST /contacts/search.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from emulator.api.api_errors import bad_request, parameter_invalid
from emulator.api.search import operators, search_fields
from emulator.api.search.contact_index import ORDERED, IndexedContact
from emulator.api.search.date_ranges import Span, seconds_of, span_of, unusable
from emulator.api.search.search_fields import SearchField

# Groups within groups, and filters within one group.
_DEEPEST = 2
_MOST = 15

Test = Callable[[IndexedContact], bool]


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """
    One condition: `test` tells whether a document meets it.

    Where an index can say at once what meets it, `span` (of the time `field`) or `word` does, and the test need not.
    """

    test: Test
    field: str = ""
    span: Span | None = None
    word: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class SearchGroup:
    """All of its parts ("AND"), or any of them ("OR")."""

    every: bool
    parts: "tuple[SearchFilter | SearchGroup, ...]"

    def test(self, document: IndexedContact) -> bool:
        """Tell whether a document meets it."""
        if self.every:
            return all(part.test(document) for part in self.parts)
        return any(part.test(document) for part in self.parts)


@dataclass(frozen=True)
class QueryParser:
    """
    Reads queries.

    Args:
        custom: the type of every custom attribute.
        day: the timezone whose days are searched by; None: exact seconds.
        custom_day: the same for custom dates, which always go by days.
        relaxed: dates know all comparisons, not only the three of old.
    """

    custom: Mapping[str, str]
    day: ZoneInfo | None
    custom_day: ZoneInfo

    def read(self, query: object, depth: int = 0) -> SearchFilter | SearchGroup:
        """
        Read a query.

        Raises:
            ApiError: Intercom would refuse it.
        """
        if not isinstance(query, dict) or "operator" not in query or "value" not in query:
            raise bad_request("A query consists of operator and value, and of field if it is a filter", "data_invalid")
        operator = query["operator"]
        if operator in ("AND", "OR") and "field" not in query:
            return self._group(query, depth + 1)
        return self._filter(search_fields.field_named(query.get("field"), self.custom), operator, query["value"])

    def _group(self, query: dict[str, Any], depth: int) -> SearchGroup:
        parts = query["value"]
        if depth > _DEEPEST:
            raise bad_request(f"Queries can be nested {_DEEPEST} levels deep", "data_invalid")
        if not isinstance(parts, list) or not parts:
            raise bad_request("AND and OR take a list of filters", "data_invalid")
        if len(parts) > _MOST:
            raise bad_request(f"A group has at most {_MOST} filters", "data_invalid")
        return SearchGroup(query["operator"] == "AND", tuple(self.read(part, depth) for part in parts))

    def _filter(self, field: SearchField, operator: object, value: object) -> SearchFilter:
        if field.kind == search_fields.DATE and operator in ("IN", "NIN"):
            raise unusable(str(operator))
        if not isinstance(operator, str) or operator not in search_fields.OPERATORS[field.kind]:
            raise parameter_invalid(f"Operator {operator} is not supported for {field.name}")
        if field.kind == search_fields.DATE:
            return self._date(field, operator, value)
        test = operators.make(field, operator, value)
        indexed = operator == "=" and isinstance(value, str) and value
        if indexed and field.name in ("email", "external_id", "tag_id", "segment_id"):
            member = field.kind == search_fields.MEMBER
            return SearchFilter(test, word=(field.name, str(value) if member else str(value).casefold()))
        return SearchFilter(test)

    def _date(self, field: SearchField, operator: str, value: object) -> SearchFilter:
        standard = field.name in search_fields.STANDARD_DATES
        timezone = self.day if standard else self.custom_day
        if value is None and operator in ("=", "!="):
            wanted = operator == "="
            return SearchFilter(lambda document: (field.read(document) is None) is wanted)
        from_, until = span_of(operator, seconds_of(value), timezone)
        if operator == "!=":
            return SearchFilter(lambda document: field.read(document) != from_)

        def test(document: IndexedContact) -> bool:
            seconds = field.read(document)
            return seconds is not None and from_ <= seconds <= until

        return SearchFilter(test, field.name, (from_, until)) if field.name in ORDERED else SearchFilter(test)
