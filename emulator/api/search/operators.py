"""What the operators mean, for everything but dates. Texts are compared without regard to case."""

from collections.abc import Callable
from typing import Any

from emulator.api.api_errors import bad_request
from emulator.api.search.contact_index import IndexedContact
from emulator.api.search.search_fields import BOOLEAN, MEMBER, NUMBER, SearchField

Test = Callable[[IndexedContact], bool]

_TRUTHS = {"true": True, "false": False}


def make(field: SearchField, operator: str, value: object) -> Test:
    """
    Return the test of one filter; the operator is one that the field has.

    Raises:
        ApiError: the value is of another type than the field.
    """
    if operator in ("IN", "NIN"):
        if not isinstance(value, list):
            raise bad_request(f"Operator {operator} takes a list", "type_mismatch")
        wanted = {_read(field, one) for one in value}
        return _negated(operator == "NIN", lambda document: _known(field, document) in wanted)
    if field.kind == MEMBER:
        member = _read(field, value)
        return _negated(operator == "!=", lambda document: member in field.read(document))
    if value is None and operator not in ("=", "!="):
        raise bad_request(f"Operator {operator} needs a value", "type_mismatch")
    one = _read(field, value)
    if operator in ("=", "!="):
        return _negated(operator == "!=", lambda document: _known(field, document) == one)
    compare = _COMPARISONS[operator.removeprefix("!")]
    return _negated(operator == "!~", lambda document: _compared(compare, _known(field, document), one))


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "~": lambda value, part: part in value,
    "^": lambda value, part: value.startswith(part),
    "$": lambda value, part: value.endswith(part),
    ">": lambda value, other: value > other,
    "<": lambda value, other: value < other,
    ">=": lambda value, other: value >= other,
    "<=": lambda value, other: value <= other,
}


def _compared(compare: Callable[[Any, Any], bool], value: Any, other: Any) -> bool:
    return value is not None and type(value) is type(other) and compare(value, other)


def _negated(negate: bool, test: Test) -> Test:  # noqa: FBT001 -- private, and the callers compute it
    return (lambda document: not test(document)) if negate else test


def _known(field: SearchField, document: IndexedContact) -> Any:
    """Return the document's value in the form in which `_read` returns those of the query."""
    value = field.read(document)
    if field.kind == NUMBER:
        return float(value) if isinstance(value, int | float) else None
    if isinstance(value, dict | list):
        # A custom attribute may hold anything; a text is only compared with texts.
        return None
    return value.casefold() if isinstance(value, str) else value


def _read(field: SearchField, value: object) -> Any:
    if value is None:
        return None
    if field.kind == BOOLEAN:
        truth = value if isinstance(value, bool) else _TRUTHS.get(str(value))
        if truth is None:
            raise bad_request(f"{field.name} is compared with true or false", "type_mismatch")
        return truth
    if isinstance(value, bool | list | dict):
        raise bad_request(f"{field.name} is compared with one value", "type_mismatch")
    if field.kind == NUMBER:
        return _number(field, value)
    return str(value) if field.kind == MEMBER else str(value).casefold()


def _number(field: SearchField, value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise bad_request(f"{field.name} is compared with a number", "type_mismatch") from None
