"""
Looking at an input before anybody is asked: what is wrong with it, in words for the person who wrote it.

A table of fields gives both the checks and the JSON schema, so that what is documented is what is checked.
"""

import difflib
from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple

Mistakes = list[tuple[str, str]]

# Unix seconds. Whoever writes more of them means milliseconds: these are in the year 5138.
_MILLISECONDS_FROM = 100_000_000_000
_SECOND = 1000

# Characters that Intercom takes in a text of a contact, and that we take in anything longer.
LONGEST_TEXT = 255
LONGEST_BODY = 100_000

# Names that are shown to whoever misspelt one.
_SHOWN_NAMES = 20


class FieldType(NamedTuple):
    """What a value may be: its JSON schema, and a function that returns what is wrong with one, None if nothing is."""

    schema: dict[str, Any]
    problem: Callable[[Any], str | None]


class InputField(NamedTuple):
    """One field of an input."""

    kind: FieldType
    description: str
    required: bool = False
    nullable: bool = True


def check(fields: Mapping[str, InputField], given: Mapping[str, Any]) -> Mistakes:
    """Return the mistakes in an input, by the name of the field."""
    found: Mistakes = []
    for name, value in given.items():
        field = fields.get(name)
        if field is None:
            found.append((name, f"is no field of this action.{meant(name, fields)}"))
        elif value is None:
            if field.required or not field.nullable:
                found.append((name, "cannot be null."))
        elif problem := field.kind.problem(value):
            found.append((name, problem))
    found += [(name, "is missing.") for name, field in fields.items() if field.required and name not in given]
    return found


def meant(name: str, known: Iterable[str]) -> str:
    """Say which name was probably meant, or which there are."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1)
    if close:
        return f" Did you mean `{close[0]}`?"
    shown = ", ".join(f"`{each}`" for each in names[:_SHOWN_NAMES])
    return f" There are {shown}{' and others' if len(names) > _SHOWN_NAMES else ''}." if names else ""


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
    described = {**field.kind.schema, "description": field.description}
    if field.required or not field.nullable or "type" not in described:
        return described
    kinds = described["type"] if isinstance(described["type"], list) else [described["type"]]
    nullable = {"type": [*kinds, "null"]}
    if "enum" in described:
        nullable["enum"] = [*described["enum"], None]
    return described | nullable


def text(longest: int = LONGEST_TEXT, *, blank: bool = True) -> FieldType:
    """Return the kind of texts with at most so many characters."""

    def problem(value: Any) -> str | None:
        if not isinstance(value, str):
            return "must be text."
        if not blank and not value.strip():
            return "cannot be blank."
        return f"can have {longest} characters at most; this has {len(value)}." if len(value) > longest else None

    return FieldType({"type": "string", "maxLength": longest} | ({} if blank else {"minLength": 1}), problem)


def choice(*options: str) -> FieldType:
    """Return the kind of texts that are one of these."""

    def problem(value: Any) -> str | None:
        shown = " or ".join(f"`{option}`" for option in options)
        return None if value in options and isinstance(value, str) else f"must be {shown}."

    return FieldType({"type": "string", "enum": list(options)}, problem)


def whole(least: int, most: int) -> FieldType:
    """Return the kind of whole numbers within these bounds."""

    def problem(value: Any) -> str | None:
        fits = _is_whole(value) and least <= value <= most
        return None if fits else f"must be a whole number from {least} to {most}."

    return FieldType({"type": "integer", "minimum": least, "maximum": most}, problem)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def seconds_problem(value: Any) -> str | None:
    """Say why a value is no time as Intercom wants it."""
    if isinstance(value, str):
        return "must be a number of unix seconds, such as 1767225600, and no text."
    if not _is_whole(value):
        return "must be a whole number of unix seconds, such as 1767225600."
    if abs(value) >= _MILLISECONDS_FROM:
        return f"must be in seconds; this looks like milliseconds. In seconds it is {value // _SECOND}."
    return None


def _truth_problem(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false."


def _email_problem(value: Any) -> str | None:
    parts = value.rpartition("@") if isinstance(value, str) else ("", "", "")
    if not all(parts) or len(value) > LONGEST_TEXT or any(each.isspace() for each in value):
        return "must be an e-mail address, such as ada@example.com."
    return None


def _identifier_problem(value: Any) -> str | None:
    fits = isinstance(value, str) and 0 < len(value) <= LONGEST_TEXT and value.isprintable() and value.strip()
    return None if fits else "must be an id as Intercom gives it, in quotes."


def _admin_problem(value: Any) -> str | None:
    if (_is_whole(value) and value >= 0) or (isinstance(value, str) and value.isascii() and value.isdigit()):
        return None
    return "must be the id of a teammate in Intercom: digits."


def _attributes_problem(value: Any) -> str | None:
    if not isinstance(value, dict):
        return 'must be an object of names and values, such as {"plan": "gold"}.'
    return None


SECONDS = FieldType(
    {"type": "integer", "exclusiveMaximum": _MILLISECONDS_FROM, "exclusiveMinimum": -_MILLISECONDS_FROM},
    seconds_problem,
)
TRUTH = FieldType({"type": "boolean"}, _truth_problem)
EMAIL = FieldType({"type": "string", "format": "email", "maxLength": LONGEST_TEXT}, _email_problem)
IDENTIFIER = FieldType({"type": "string", "minLength": 1, "maxLength": LONGEST_TEXT}, _identifier_problem)
ADMIN = FieldType({"type": ["string", "integer"], "pattern": "^[0-9]+$", "minimum": 0}, _admin_problem)
ATTRIBUTES = FieldType({"type": "object"}, _attributes_problem)
