"""Which of the values that somebody wants to set are really new."""

from collections.abc import Mapping
from typing import Any

from emulator.errors import RefusedError

# What only the workspace itself sets.
_OWN = frozenset({"role", "created_at", "updated_at", "session_count"})


def settable(values: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return what is wanted with `custom_attributes` complete, so that the object can be replaced whole.

    Raises:
        RefusedError: a field that does not exist, or that cannot be set.
    """
    unknown = [name for name in wanted if name not in values or name in _OWN]
    if unknown:
        raise RefusedError(f"No field that can be set is called {unknown[0]!r}.")
    if "custom_attributes" not in wanted:
        return dict(wanted)
    return {**wanted, "custom_attributes": values["custom_attributes"] | wanted["custom_attributes"]}


def differing(values: Mapping[str, Any], wanted: Mapping[str, Any]) -> dict[str, Any]:
    """Return those of the wanted values that differ from what is there."""
    return {name: value for name, value in settable(values, wanted).items() if value != values[name]}
