"""
The check of custom attributes in an input: Intercom accepts only attributes that exist, with values of their type.

The mirror's copy of the attributes is checked without a request. It may lack a new attribute, so a mistake is reported
only if Intercom's current list confirms it.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine, select

from intercom_api.errors import NotAuthorizedError, RejectedError
from intercom_api.http.client import IntercomClient
from models.tables.public_tables import data_attributes
from workers.actions.fields import BOOLEAN, Mistakes, is_integer, suggestion, timestamp_problem

# The types of a workspace's custom attributes of contacts, by name, without archived ones.
Types = Mapping[str, str]

_CREATE_HINT = "Create it in Intercom first, under Settings, People data."


def check_attributes(reader: Engine, client: IntercomClient, given: Mapping[str, Any]) -> Mistakes:
    """
    Return the mistakes in the custom attributes of a contact.

    Raises:
        TransientError: Intercom is unavailable.
    """
    if not given:
        return []
    mirrored = _mirrored_types(reader, client.workspace_id)
    if mirrored and not _mistakes(mirrored, given):
        return []
    current = _fetch_types(client)
    return [] if current is None else _mistakes(current, given)


def _mistakes(types: Types, given: Mapping[str, Any]) -> Mistakes:
    mistakes: Mistakes = []
    for name, value in given.items():
        field = f"custom_attributes.{name}"
        if name not in types:
            hint = suggestion(name, types) or " It has none yet."
            mistakes.append((field, f"is not a custom attribute of contacts in this workspace.{hint} {_CREATE_HINT}"))
        elif value is not None and (problem := _PROBLEMS.get(types[name], _no_problem)(value)):
            mistakes.append((field, problem))
    return mistakes


def _mirrored_types(reader: Engine, workspace_id: str) -> dict[str, str]:
    c = data_attributes.c
    query = select(c.name, c.data_type).where(
        c.workspace_id == workspace_id, c.model == "contact", c.custom, c.archived.is_not(True)
    )
    with reader.connect() as connection:
        return {name: data_type or "" for name, data_type in connection.execute(query)}


def _fetch_types(client: IntercomClient) -> dict[str, str] | None:
    """Fetch the types from Intercom; None if the app may not read them, so that only the write itself shows it."""
    try:
        attributes = client.data_attributes("contact")
    except NotAuthorizedError:
        raise
    except RejectedError:
        return None
    return {
        str(each.get("name")): str(each.get("data_type"))
        for each in attributes
        if each.get("custom") and not each.get("archived")
    }


def _string_problem(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be a string."


def _integer_problem(value: Any) -> str | None:
    return None if is_integer(value) else "must be an integer."


def _number_problem(value: Any) -> str | None:
    return None if is_integer(value) or isinstance(value, float) else "must be a number."


def _no_problem(_value: Any) -> str | None:
    return None


# Checks by Intercom's name of the type; a type that is not listed accepts every value.
_PROBLEMS: dict[str, Callable[[Any], str | None]] = {
    "string": _string_problem,
    "integer": _integer_problem,
    "float": _number_problem,
    "boolean": BOOLEAN.problem,
    "date": timestamp_problem,
    "datetime": timestamp_problem,
}
