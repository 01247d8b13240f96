"""The operators of all field types except dates. Texts are compared without regard to case."""

from collections.abc import Callable
from typing import Any

from emulator.api.api_errors import bad_request
from emulator.api.search.contact_index import IndexedContact
from emulator.api.search.search_fields import BOOLEAN, MEMBER, NUMBER, SearchField

Predicate = Callable[[IndexedContact], bool]

_BOOLEAN_TEXTS = {"true": True, "false": False}


def make_predicate(field: SearchField, operator: str, value: object) -> Predicate:
    """
    Return the predicate of one filter; the field supports the operator.

    Raises:
        ApiError: the value has another type than the field.
    """
    if operator in ("IN", "NIN"):
        if not isinstance(value, list):
            raise bad_request(f"Operator {operator} takes a list", "type_mismatch")
        members = {_read_operand(field, each) for each in value}
        return _negate_if(operator == "NIN", lambda contact: _read_value(field, contact) in members)
    if field.kind == MEMBER:
        member = _read_operand(field, value)
        return _negate_if(operator == "!=", lambda contact: member in field.read(contact))
    if value is None and operator not in ("=", "!="):
        raise bad_request(f"Operator {operator} needs a value", "type_mismatch")
    operand = _read_operand(field, value)
    if operator in ("=", "!="):
        return _negate_if(operator == "!=", lambda contact: _read_value(field, contact) == operand)
    compare = _COMPARISONS[operator.removeprefix("!")]
    return _negate_if(operator == "!~", lambda contact: _compare(compare, _read_value(field, contact), operand))


_COMPARISONS: dict[str, Callable[[Any, Any], bool]] = {
    "~": lambda value, operand: operand in value,
    "^": lambda value, operand: value.startswith(operand),
    "$": lambda value, operand: value.endswith(operand),
    ">": lambda value, operand: value > operand,
    "<": lambda value, operand: value < operand,
    ">=": lambda value, operand: value >= operand,
    "<=": lambda value, operand: value <= operand,
}


def _compare(compare: Callable[[Any, Any], bool], value: Any, operand: Any) -> bool:
    return value is not None and type(value) is type(operand) and compare(value, operand)


def _negate_if(negate: bool, predicate: Predicate) -> Predicate:  # noqa: FBT001 -- private, and the callers compute it
    return (lambda contact: not predicate(contact)) if negate else predicate


def _read_value(field: SearchField, contact: IndexedContact) -> Any:
    """Return the contact's value in the form in which `_read_operand` returns those of the query."""
    value = field.read(contact)
    if field.kind == NUMBER:
        return float(value) if isinstance(value, int | float) else None
    if isinstance(value, dict | list):
        # A custom attribute may contain anything; only plain values are compared.
        return None
    return value.casefold() if isinstance(value, str) else value


def _read_operand(field: SearchField, value: object) -> Any:
    if value is None:
        return None
    if field.kind == BOOLEAN:
        boolean = value if isinstance(value, bool) else _BOOLEAN_TEXTS.get(str(value))
        if boolean is None:
            raise bad_request(f"{field.name} is compared with true or false", "type_mismatch")
        return boolean
    if isinstance(value, bool | list | dict):
        raise bad_request(f"{field.name} is compared with one value", "type_mismatch")
    if field.kind == NUMBER:
        return _read_number(field, value)
    return str(value) if field.kind == MEMBER else str(value).casefold()


def _read_number(field: SearchField, value: object) -> float:
    try:
        return float(str(value))
    except ValueError:
        raise bad_request(f"{field.name} is compared with a number", "type_mismatch") from None
