"""
Parses search queries: filters and nested groups of filters.

Source:
    Intercom's OpenAPI description 2.16, POST /contacts/search.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from emulator.api.api_errors import bad_request, parameter_invalid
from emulator.api.search import search_fields
from emulator.api.search.contact_index import ORDERED, IndexedContact, Term
from emulator.api.search.date_ranges import DateRange, date_range, read_seconds, unsupported_operator
from emulator.api.search.operators import Predicate, make_predicate
from emulator.api.search.search_fields import SearchField

# The deepest nesting of groups, and the greatest number of filters in one group.
_DEEPEST = 2
_MOST = 15


@dataclass(frozen=True, slots=True)
class SearchFilter:
    """
    One condition.

    Attributes:
        matches: whether a contact meets the condition.
        field: the name of the time that `range` limits.
        range: the times that meet the condition; the index can find them, and `matches` need not be called.
        term: the term that meets the condition; the index can find it, and `matches` need not be called.
    """

    matches: Predicate
    field: str = ""
    range: DateRange | None = None
    term: Term | None = None


@dataclass(frozen=True, slots=True)
class SearchGroup:
    """A combination of conditions: `conjunction` means "AND", otherwise it is "OR"."""

    conjunction: bool
    parts: "tuple[SearchFilter | SearchGroup, ...]"

    def matches(self, contact: IndexedContact) -> bool:
        """Whether a contact meets the group."""
        if self.conjunction:
            return all(part.matches(contact) for part in self.parts)
        return any(part.matches(contact) for part in self.parts)


@dataclass(frozen=True)
class QueryParser:
    """
    Parses queries.

    Args:
        custom: the types of the custom attributes by name.
        day: the timezone whose days are compared; None: seconds are.
        custom_day: the timezone for custom dates, which are always compared by day.
    """

    custom: Mapping[str, str]
    day: ZoneInfo | None
    custom_day: ZoneInfo

    def parse(self, query: object, depth: int = 0) -> SearchFilter | SearchGroup:
        """
        Parse a query.

        Raises:
            ApiError: Intercom would refuse the query.
        """
        if not isinstance(query, dict) or "operator" not in query or "value" not in query:
            raise bad_request("A query consists of operator and value, and of field if it is a filter", "data_invalid")
        operator = query["operator"]
        if operator in ("AND", "OR") and "field" not in query:
            return self._parse_group(query, depth + 1)
        return self._parse_filter(search_fields.find_field(query.get("field"), self.custom), operator, query["value"])

    def _parse_group(self, query: dict[str, Any], depth: int) -> SearchGroup:
        parts = query["value"]
        if depth > _DEEPEST:
            raise bad_request(f"Queries can be nested {_DEEPEST} levels deep", "data_invalid")
        if not isinstance(parts, list) or not parts:
            raise bad_request("AND and OR take a list of filters", "data_invalid")
        if len(parts) > _MOST:
            raise bad_request(f"A group has at most {_MOST} filters", "data_invalid")
        return SearchGroup(query["operator"] == "AND", tuple(self.parse(part, depth) for part in parts))

    def _parse_filter(self, field: SearchField, operator: object, value: object) -> SearchFilter:
        if field.kind == search_fields.DATE and operator in ("IN", "NIN"):
            raise unsupported_operator(str(operator))
        if not isinstance(operator, str) or operator not in search_fields.OPERATORS[field.kind]:
            raise parameter_invalid(f"Operator {operator} is not supported for {field.name}")
        if field.kind == search_fields.DATE:
            return self._parse_date(field, operator, value)
        predicate = make_predicate(field, operator, value)
        indexed = operator == "=" and isinstance(value, str) and value
        if indexed and field.name in ("email", "external_id", "tag_id", "segment_id"):
            is_id = field.kind == search_fields.MEMBER
            return SearchFilter(predicate, term=(field.name, str(value) if is_id else str(value).casefold()))
        return SearchFilter(predicate)

    def _parse_date(self, field: SearchField, operator: str, value: object) -> SearchFilter:
        is_standard = field.name in search_fields.STANDARD_DATES
        timezone = self.day if is_standard else self.custom_day
        if value is None and operator in ("=", "!="):
            wants_null = operator == "="
            return SearchFilter(lambda contact: (field.read(contact) is None) is wants_null)
        first, last = date_range(operator, read_seconds(value), timezone)
        if operator == "!=":
            return SearchFilter(lambda contact: field.read(contact) != first)

        def matches(contact: IndexedContact) -> bool:
            seconds = field.read(contact)
            return seconds is not None and first <= seconds <= last

        return SearchFilter(matches, field.name, (first, last)) if field.name in ORDERED else SearchFilter(matches)
