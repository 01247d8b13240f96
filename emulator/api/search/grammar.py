"""
The query of a search: filters, in groups, in one more group at most.

Source:
    Intercom's OpenAPI description 2.16, POST /contacts/search.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from emulator.api.faults import bad_request, parameter_invalid
from emulator.api.index import ORDERED, Document
from emulator.api.search import fields, tests
from emulator.api.search.dates import Span, seconds_of, span_of, unusable
from emulator.api.search.fields import Field

# Groups within groups, and filters within one group.
_DEEPEST = 2
_MOST = 15

Test = Callable[[Document], bool]


@dataclass(frozen=True, slots=True)
class Filter:
    """
    One condition: `test` tells whether a document meets it.

    Where an index can say at once what meets it, `span` (of the time `field`) or `word` does, and the test need not.
    """

    test: Test
    field: str = ""
    span: Span | None = None
    word: tuple[str, str] | None = None


@dataclass(frozen=True, slots=True)
class Group:
    """All of its parts ("AND"), or any of them ("OR")."""

    every: bool
    parts: "tuple[Filter | Group, ...]"

    def test(self, document: Document) -> bool:
        """Tell whether a document meets it."""
        if self.every:
            return all(part.test(document) for part in self.parts)
        return any(part.test(document) for part in self.parts)


@dataclass(frozen=True)
class Reader:
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

    def read(self, query: object, depth: int = 0) -> Filter | Group:
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
        return self._filter(fields.field_named(query.get("field"), self.custom), operator, query["value"])

    def _group(self, query: dict[str, Any], depth: int) -> Group:
        parts = query["value"]
        if depth > _DEEPEST:
            raise bad_request(f"Queries can be nested {_DEEPEST} levels deep", "data_invalid")
        if not isinstance(parts, list) or not parts:
            raise bad_request("AND and OR take a list of filters", "data_invalid")
        if len(parts) > _MOST:
            raise bad_request(f"A group has at most {_MOST} filters", "data_invalid")
        return Group(query["operator"] == "AND", tuple(self.read(part, depth) for part in parts))

    def _filter(self, field: Field, operator: object, value: object) -> Filter:
        if field.kind == fields.DATE and operator in ("IN", "NIN"):
            raise unusable(str(operator))
        if not isinstance(operator, str) or operator not in fields.OPERATORS[field.kind]:
            raise parameter_invalid(f"Operator {operator} is not supported for {field.name}")
        if field.kind == fields.DATE:
            return self._date(field, operator, value)
        test = tests.make(field, operator, value)
        indexed = operator == "=" and isinstance(value, str) and value
        if indexed and field.name in ("email", "external_id", "tag_id", "segment_id"):
            member = field.kind == fields.MEMBER
            return Filter(test, word=(field.name, str(value) if member else str(value).casefold()))
        return Filter(test)

    def _date(self, field: Field, operator: str, value: object) -> Filter:
        standard = field.name in fields.STANDARD_DATES
        timezone = self.day if standard else self.custom_day
        if value is None and operator in ("=", "!="):
            wanted = operator == "="
            return Filter(lambda document: (field.read(document) is None) is wanted)
        from_, until = span_of(operator, seconds_of(value), timezone)
        if operator == "!=":
            return Filter(lambda document: field.read(document) != from_)

        def test(document: Document) -> bool:
            seconds = field.read(document)
            return seconds is not None and from_ <= seconds <= until

        return Filter(test, field.name, (from_, until)) if field.name in ORDERED else Filter(test)
