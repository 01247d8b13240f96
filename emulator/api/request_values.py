"""
Reads the fields of contacts and companies from request bodies: times become milliseconds, objects complete.

Source:
    Intercom's OpenAPI description 2.16, requests to create and update contacts and companies.
"""

from collections.abc import Callable, Mapping
from typing import Any

from emulator.api.api_errors import bad_request, parameter_invalid
from emulator.api.data_attributes import DataAttributes
from intercom_api.wire.times import MS_PER_SECOND

# The last second of the year 9999. A caller that sends milliseconds by mistake is not refused: the time is wrong.
_LAST_SECOND = 253_402_300_799
# Greater numbers are not exact in the JSON of every language.
_GREATEST = 2**53
_GREATEST_SPEND = 2_147_483_647
_LONGEST_TEXT = 255

FieldReader = Callable[[str, Any], Any]


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
    return (seconds if abs(seconds) <= _LAST_SECOND else seconds % 2**31) * MS_PER_SECOND


def _integer(name: str, value: Any) -> int:
    try:
        # `int` would accept a boolean as 0 or 1; its text is refused.
        number = int(str(value) if isinstance(value, bool) else value)
    except (TypeError, ValueError, OverflowError):
        raise parameter_invalid(f"{name} must be a number") from None
    if abs(number) > _GREATEST:
        raise parameter_invalid(f"{name} is too large")
    return number


def _optional_integer(name: str, value: Any) -> int | None:
    return None if value is None or value == "" else _integer(name, value)


def _spend(name: str, value: Any) -> int | None:
    number = _optional_integer(name, value)
    if number is not None and number > _GREATEST_SPEND:
        raise parameter_invalid(f"{name} is at most {_GREATEST_SPEND}")
    return number


def _boolean(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise parameter_invalid(f"{name} must be true or false")
    return value


def _plan(name: str, value: Any) -> dict[str, Any] | None:
    text = _text(name, value)
    if text is None:
        return None
    # The id is computed from the name, so that equal names are one plan without a table of plans.
    return {"type": "plan", "id": str(100_000 + sum(text.encode()) % 900_000), "name": text}


_CONTACT_FIELDS: dict[str, FieldReader] = {
    "external_id": _text,
    "email": _email,
    "phone": _text,
    "name": _text,
    "avatar": _avatar,
    "signed_up_at": _time,
    "last_seen_at": _time,
    "owner_id": _optional_integer,
    "unsubscribed_from_emails": _boolean,
    "language_override": _text,
}
_COMPANY_FIELDS: dict[str, FieldReader] = {
    "name": _text,
    "plan": _plan,
    "remote_created_at": _time,
    "size": _optional_integer,
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
    Return the values for a contact. Fields that cannot be set are ignored, as at Intercom.

    Raises:
        ApiError: an impossible value, or an unknown custom attribute.
    """
    return _values("contact", body, _CONTACT_FIELDS, attributes)


def company_values(body: Mapping[str, Any], attributes: DataAttributes) -> dict[str, Any]:
    """
    Return the values for a company. Fields that cannot be set are ignored, as at Intercom.

    Raises:
        ApiError: an impossible value, or an unknown custom attribute.
    """
    return _values("company", body, _COMPANY_FIELDS, attributes)


def _values(
    model: str, body: Mapping[str, Any], fields: Mapping[str, FieldReader], attributes: DataAttributes
) -> dict[str, Any]:
    values = {name: read(name, body[name]) for name, read in fields.items() if name in body}
    custom = body.get("custom_attributes")
    if custom is None:
        return values
    if not isinstance(custom, dict):
        raise parameter_invalid("custom_attributes must be an object")
    return values | {
        "custom_attributes": {name: _custom_value(model, name, custom[name], attributes) for name in custom}
    }


def _custom_value(model: str, name: str, value: Any, attributes: DataAttributes) -> Any:
    attribute = attributes.by_name.get((model, name))
    if attribute is None or attribute.archived:
        raise parameter_invalid(f"Custom attribute '{name}' does not exist")
    right_type = isinstance(value, _TYPES[attribute.data_type])
    if value is not None and (not right_type or isinstance(value, bool) is not (attribute.data_type == "boolean")):
        raise bad_request(f"Custom attribute '{name}' is of type {attribute.data_type}", "type_mismatch")
    if isinstance(value, int | float) and abs(value) > _GREATEST:
        raise parameter_invalid(f"Custom attribute '{name}' is too large")
    if attribute.options and value is not None and value not in attribute.options:
        raise parameter_invalid(f"Custom attribute '{name}' does not have this option")
    return value
