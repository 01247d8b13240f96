"""
What a body says of a contact or a company, in the workspace's own terms: times in milliseconds, objects whole.

Source:
    Intercom's OpenAPI description 2.16, requests to create and update contacts and companies.
"""

from collections.abc import Callable, Mapping
from typing import Any

from emulator.api.api_errors import bad_request, parameter_invalid
from emulator.api.data_attributes import DataAttributes

# The largest time that is still written as a date; whoever sends milliseconds is not refused, but gets nonsense.
_LAST_SECOND = 253_402_300_799
# Greater numbers are not exact in every language's JSON.
_GREATEST = 2**53
_MOST_SPEND = 2_147_483_647
_LONGEST_TEXT = 255

Reader = Callable[[str, Any], Any]


def _text(name: str, value: Any) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool | dict | list):
        raise parameter_invalid(f"{name} must be a string")
    if len(str(value)) > _LONGEST_TEXT and name != "avatar":
        raise parameter_invalid(f"{name} is too long")
    return str(value)


def _email(name: str, value: Any) -> str | None:
    text = _text(name, value)
    if text is None:
        return None
    mailbox, at, domain = text.strip().rpartition("@")
    if not (mailbox and at and domain) or " " in text.strip():
        raise parameter_invalid("invalid email address")
    return text.strip().lower()


def _avatar(name: str, value: Any) -> dict[str, Any] | None:
    image_url = _text(name, value.get("image_url") if isinstance(value, dict) else value)
    return None if image_url is None else {"type": "avatar", "image_url": image_url}


def _time(name: str, value: Any) -> int | None:
    if value is None:
        return None
    seconds = _integer(name, value)
    return (seconds if abs(seconds) <= _LAST_SECOND else seconds % 2**31) * 1000


def _integer(name: str, value: Any) -> int:
    try:
        # A truth would pass for 0 or 1.
        number = int(str(value) if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        raise parameter_invalid(f"{name} must be a number") from None
    if abs(number) > _GREATEST:
        raise parameter_invalid(f"{name} is too large")
    return number


def _number(name: str, value: Any) -> int | None:
    return None if value is None or value == "" else _integer(name, value)


def _spend(name: str, value: Any) -> int | None:
    number = _number(name, value)
    if number is not None and number > _MOST_SPEND:
        raise parameter_invalid(f"{name} is at most {_MOST_SPEND}")
    return number


def _truth(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise parameter_invalid(f"{name} must be true or false")
    return value


def _plan(name: str, value: Any) -> dict[str, Any] | None:
    text = _text(name, value)
    if text is None:
        return None
    # The same name is the same plan, without a table of plans.
    return {"type": "plan", "id": str(100_000 + sum(text.encode()) % 900_000), "name": text}


_CONTACT: dict[str, Reader] = {
    "external_id": _text,
    "email": _email,
    "phone": _text,
    "name": _text,
    "avatar": _avatar,
    "signed_up_at": _time,
    "last_seen_at": _time,
    "owner_id": _number,
    "unsubscribed_from_emails": _truth,
    "language_override": _text,
}
_COMPANY: dict[str, Reader] = {
    "name": _text,
    "plan": _plan,
    "remote_created_at": _time,
    "size": _number,
    "website": _text,
    "industry": _text,
    "monthly_spend": _spend,
}
_TYPES: Mapping[str, type | tuple[type, ...]] = {
    "string": str,
    "integer": int,
    "float": (int, float),
    "boolean": bool,
    "date": int,
}


def contact_values(body: Mapping[str, Any], attributes: DataAttributes) -> dict[str, Any]:
    """
    Return what a body wants a contact to be; what cannot be set is passed over, as Intercom does.

    Raises:
        ApiError: a value that is not possible, or a custom attribute that does not exist.
    """
    return _values("contact", body, _CONTACT, attributes)


def company_values(body: Mapping[str, Any], attributes: DataAttributes) -> dict[str, Any]:
    """Return what a body wants a company to be; as for contacts."""
    return _values("company", body, _COMPANY, attributes)


def _values(
    model: str, body: Mapping[str, Any], readers: Mapping[str, Reader], attributes: DataAttributes
) -> dict[str, Any]:
    values = {name: read(name, body[name]) for name, read in readers.items() if name in body}
    custom = body.get("custom_attributes")
    if custom is None:
        return values
    if not isinstance(custom, dict):
        raise parameter_invalid("custom_attributes must be an object")
    return values | {"custom_attributes": {name: _custom(model, name, custom[name], attributes) for name in custom}}


def _custom(model: str, name: str, value: Any, attributes: DataAttributes) -> Any:
    attribute = attributes.by_name.get((model, name))
    if attribute is None or attribute.archived:
        raise parameter_invalid(f"Custom attribute '{name}' does not exist")
    fits = isinstance(value, _TYPES[attribute.data_type])
    if value is not None and (not fits or isinstance(value, bool) is not (attribute.data_type == "boolean")):
        raise bad_request(f"Custom attribute '{name}' is of type {attribute.data_type}", "type_mismatch")
    if isinstance(value, int | float) and abs(value) > _GREATEST:
        raise parameter_invalid(f"Custom attribute '{name}' is too large")
    if attribute.options and value is not None and value not in attribute.options:
        raise parameter_invalid(f"Custom attribute '{name}' does not have this option")
    return value
