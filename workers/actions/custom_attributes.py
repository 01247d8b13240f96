"""Custom attributes must exist before they are written: whether they do, and of which type they are."""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Engine, select

from intercom_api.errors import NotAuthorizedError, RejectedError
from intercom_api.http.client import IntercomClient
from models.tables.public_tables import data_attributes
from workers.actions.fields import Mistakes, meant, seconds_problem

# The types of the custom attributes of contacts by name; archived ones are left out.
Types = Mapping[str, str]

_WHERE_TO_MAKE = "Make it in Intercom first, under Settings, People data."


def mistakes(reader: Engine, client: IntercomClient, given: Mapping[str, Any]) -> Mistakes:
    """
    Return what is wrong with custom attributes of a contact.

    What the mirror knows decides if it finds nothing wrong; else Intercom is asked, as an attribute may be new.

    Raises:
        TransientError: Intercom did not answer.
    """
    if not given:
        return []
    known = _mirrored(reader, client.workspace_id)
    if known and not wrong(known, given):
        return []
    asked = _asked(client)
    return [] if asked is None else wrong(asked, given)


def wrong(types: Types, given: Mapping[str, Any]) -> Mistakes:
    """Return what is wrong, when these attributes exist."""
    found: Mistakes = []
    for name, value in given.items():
        field = f"custom_attributes.{name}"
        if name not in types:
            hint = meant(name, types) or " It has none yet."
            found.append((field, f"is no custom attribute of contacts in this workspace.{hint} {_WHERE_TO_MAKE}"))
        elif value is not None and (problem := _PROBLEMS.get(types[name], _any)(value)):
            found.append((field, problem))
    return found


def _mirrored(reader: Engine, workspace_id: str) -> dict[str, str]:
    c = data_attributes.c
    query = select(c.name, c.data_type).where(
        c.workspace_id == workspace_id, c.model == "contact", c.custom, c.archived.is_not(True)
    )
    with reader.connect() as connection:
        return {name: data_type or "" for name, data_type in connection.execute(query)}


def _asked(client: IntercomClient) -> dict[str, str] | None:
    """Ask Intercom; None if the app may not know, so that only writing itself can tell."""
    try:
        found = client.data_attributes("contact")
    except NotAuthorizedError:
        raise
    except RejectedError:
        return None
    return {
        str(each.get("name")): str(each.get("data_type"))
        for each in found
        if each.get("custom") and not each.get("archived")
    }


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "must be text."


def _integer(value: Any) -> str | None:
    return None if isinstance(value, int) and not isinstance(value, bool) else "must be a whole number."


def _number(value: Any) -> str | None:
    return None if isinstance(value, int | float) and not isinstance(value, bool) else "must be a number."


def _truth(value: Any) -> str | None:
    return None if isinstance(value, bool) else "must be true or false."


def _any(_value: Any) -> str | None:
    return None


_PROBLEMS: dict[str, Callable[[Any], str | None]] = {
    "string": _text,
    "integer": _integer,
    "float": _number,
    "boolean": _truth,
    "date": seconds_problem,
    "datetime": seconds_problem,
}
