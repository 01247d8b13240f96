"""
The fields of an action's input: their checks and their JSON schema.

One table of fields gives both, so that the documented schema and the checks agree. The checks run before any request,
and each mistake is a sentence for the developer who wrote the input.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

from settings.units import MS_PER_SECOND

# Mistakes as pairs: the name of the field ("" for the whole input), and a predicate such as "is missing.".
Mistakes = list[tuple[str, str]]

# Unix seconds, of the year 5138. A larger number was meant as milliseconds.
_MILLISECONDS_FROM = 100_000_000_000

# Characters that Intercom accepts in a text field of a contact.
MAX_TEXT_LENGTH = 255
# Characters that we accept in a longer text, such as the body of a message.
MAX_BODY_LENGTH = 100_000

# Names listed in the mistake about an unknown name.
_MAX_LISTED_NAMES = 20


class FieldType(NamedTuple):
    """
    The type of a value: its JSON schema, and its check.

    `problem` returns what is wrong with a value, or None.
    """

    schema: dict[str, Any]
    problem: Callable[[Any], str | None]


class InputField(NamedTuple):
    """One field of an input."""

    type: FieldType
    description: str
    required: bool = False
    nullable: bool = True


def check_input(fields: Mapping[str, InputField], given: Mapping[str, Any]) -> Mistakes:
    """Return the mistakes in an input."""
    mistakes: Mistakes = []
    for name, value in given.items():
        field = fields.get(name)
        if field is None:
            mistakes.append((name, f"is not a field of this action.{suggestion(name, fields)}"))
        elif value is None:
            if field.required or not field.nullable:
                mistakes.append((name, "must not be null."))
        elif problem := field.type.problem(value):
            mistakes.append((name, problem))
    mistakes += [(name, "is missing.") for name, field in fields.items() if field.required and name not in given]
    return mistakes


def suggestion(name: str, known: Iterable[str]) -> str:
    """Return a sentence with the known name that is closest to a wrong one, or with a list of the known names."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f" Did you mean `{close[0]}`?"
    listed = ", ".join(f"`{each}`" for each in names[:_MAX_LISTED_NAMES])
    return f" Known names: {listed}{' and others' if len(names) > _MAX_LISTED_NAMES else ''}." if names else ""


def schema(fields: Mapping[str, InputField], **more: Any) -> dict[str, Any]:
    """Return the JSON schema of an input."""
    return {
        "type": "object",
        "properties": {name: _property(field) for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
        "additionalProperties": False,
        **more,
    }


def _property(field: InputField) -> dict[str, Any]:
    described = {**field.type.schema, "description": field.description}
    if field.required or not field.nullable or "type" not in described:
        return described
    types = described["type"] if isinstance(described["type"], list) else [described["type"]]
    nullable = {"type": [*types, "null"]}
    if "enum" in described:
        nullable["enum"] = [*described["enum"], None]
    return described | nullable


def text(max_length: int = MAX_TEXT_LENGTH, *, blank: bool = True) -> FieldType:
    """Return the type of texts of at most `max_length` characters."""

    def problem(value: Any) -> str | None:
        if not isinstance(value, str):
            return "must be a string."
        if not blank and not value.strip():
            return "must not be blank."
        if len(value) > max_length:
            return f"must have at most {max_length} characters; it has {len(value)}."
        return None

    return FieldType({"type": "string", "maxLength": max_length} | ({} if blank else {"minLength": 1}), problem)


def choice(*options: str) -> FieldType:
    """Return the type of texts that are one of `options`."""

    def problem(value: Any) -> str | None:
        listed = " or ".join(f"`{option}`" for option in options)
        return None if value in options and isinstance(value, str) else f"must be {listed}."

    return FieldType({"type": "string", "enum": list(options)}, problem)


def integer(minimum: int, maximum: int) -> FieldType:
    """Return the type of integers within these bounds, both included."""

    def problem(value: Any) -> str | None:
        valid = is_integer(value) and minimum <= value <= maximum
        return None if valid else f"must be an integer from {minimum} to {maximum}."

    return FieldType({"type": "integer", "minimum": minimum, "maximum": maximum}, problem)


def is_integer(value: Any) -> bool:
    """Return whether a value is an integer of JSON; Python's bool is a subclass of int."""
    return isinstance(value, int) and not isinstance(value, bool)


def timestamp_problem(value: Any) -> str | None:
    """Return why a value is not a time in the form that Intercom accepts, or None."""
    if isinstance(value, str):
        return "must be a number of unix seconds, such as 1767225600, not a string."
    if not is_integer(value):
        return "must be an integer of unix seconds, such as 1767225600."
    if abs(value) >= _MILLISECONDS_FROM:
        return f"must be in seconds; this looks like milliseconds. In seconds it is {value // MS_PER_SECOND}."
    return None


def _boolean_problem(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false."


def _email_problem(value: Any) -> str | None:
    parts = value.rpartition("@") if isinstance(value, str) else ("", "", "")
    if not all(parts) or len(value) > MAX_TEXT_LENGTH or any(each.isspace() for each in value):
        return "must be an e-mail address, such as ada@example.com."
    return None


def _identifier_problem(value: Any) -> str | None:
    valid = isinstance(value, str) and 0 < len(value) <= MAX_TEXT_LENGTH and value.isprintable() and value.strip()
    return None if valid else "must be an Intercom id, as a string."


def _admin_id_problem(value: Any) -> str | None:
    if (is_integer(value) and value >= 0) or (isinstance(value, str) and value.isascii() and value.isdigit()):
        return None
    return "must be the id of a teammate in Intercom, in digits."


def _attributes_problem(value: Any) -> str | None:
    if not isinstance(value, dict):
        return 'must be an object of names and values, such as {"plan": "gold"}.'
    return None


TIMESTAMP = FieldType(
    {"type": "integer", "exclusiveMaximum": _MILLISECONDS_FROM, "exclusiveMinimum": -_MILLISECONDS_FROM},
    timestamp_problem,
)
BOOLEAN = FieldType({"type": "boolean"}, _boolean_problem)
EMAIL = FieldType({"type": "string", "format": "email", "maxLength": MAX_TEXT_LENGTH}, _email_problem)
IDENTIFIER = FieldType({"type": "string", "minLength": 1, "maxLength": MAX_TEXT_LENGTH}, _identifier_problem)
ADMIN_ID = FieldType({"type": ["string", "integer"], "pattern": "^[0-9]+$", "minimum": 0}, _admin_id_problem)
ATTRIBUTES = FieldType({"type": "object"}, _attributes_problem)
