"""Checks of the values that a caller wants to set on a contact or company."""

from collections.abc import Mapping
from typing import Any

from emulator.errors import RefusedError

# Only the workspace itself sets these fields.
_READ_ONLY = frozenset({"role", "created_at", "updated_at", "session_count"})


def settable_values(current: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the values to set, with `custom_attributes` complete, so that this object can be replaced as a whole.

    Raises:
        RefusedError: a field does not exist or cannot be set.
    """
    unknown = [name for name in values if name not in current or name in _READ_ONLY]
    if unknown:
        raise RefusedError(f"The field {unknown[0]!r} does not exist or cannot be set.")
    if "custom_attributes" not in values:
        return dict(values)
    return {**values, "custom_attributes": current["custom_attributes"] | values["custom_attributes"]}


def changed_values(current: Mapping[str, Any], values: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return those of the settable values that differ from the current ones.

    Raises:
        RefusedError: a field does not exist or cannot be set.
    """
    return {name: value for name, value in settable_values(current, values).items() if value != current[name]}
