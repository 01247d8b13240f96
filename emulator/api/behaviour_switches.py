"""Switches for the API's behaviour: faults, delays, limits, and what Intercom documents in two ways."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from emulator.errors import RefusedError

# These are shares of calls, 0 to 1.
_SHARES = frozenset({"error_rate", "empty_rate", "broken_rate", "scroll_error_rate"})
_CHOICES = {"version_grain": ("day", "second"), "companies_key": ("data", "companies")}


@dataclass
class BehaviourSwitches:
    """
    How the API behaves. By default nothing fails and nothing is delayed. Each switch may change during calls.

    Attributes:
        latency_ms: how long every call takes in addition to its work: half before the work, half after it.
        error_rate: the share of calls that end in a random 5xx, half of them after the work was done, 0 to 1.
        empty_rate: the share of successful responses with an empty body.
        broken_rate: the share of successful responses with truncated JSON.
        rate_limit: calls per minute of one app in one workspace, counted in windows of ten seconds; 0: no limit.
        index_lag_seconds: how long lists and searches lag behind what was created or changed.
        scroll_error_rate: the share of scroll pages that end the scroll with a 500.
        scroll_lock: another client has a scroll open in every workspace.
        clock_shift_seconds: how far the emulated time is ahead of the clock.
        version_grain: "day" or "second": how exactly contact searches compare times up to API 2.16.
        default_version: the version of a call without the header Intercom-Version.
        list_wall: POST /companies/list returns this many companies and refuses to go on.
        show_lonely: lists and scrolls also contain companies without contacts.
        show_archived: GET by id finds an archived contact; otherwise it is a 404. Intercom does not document which.
        company_limit: the greatest number of companies of a contact.
        embedded: how many tags, companies and notes a contact contains; the others are behind `url`.
        page_errors: an empty `starting_after` is a 500 and the word None a 400, as at Intercom; otherwise both are 400.
        companies_key: the key of the list in GET /contacts/{id}/companies: the documentation's example and schema
            differ.
        message_delay_seconds: a contact younger than this cannot receive messages (404).
        delete_seconds: how long the deletion of a company takes after the response.
        forget_tokens: a second authorisation of a workspace revokes the tokens of the first.
    """

    latency_ms: float = 0.0
    error_rate: float = 0.0
    empty_rate: float = 0.0
    broken_rate: float = 0.0
    rate_limit: int = 10_000
    index_lag_seconds: float = 0.0
    scroll_error_rate: float = 0.0
    scroll_lock: bool = False
    clock_shift_seconds: float = 0.0
    version_grain: str = "day"
    default_version: str = "2.16"
    list_wall: int = 10_000
    show_lonely: bool = False
    show_archived: bool = True
    company_limit: int = 1000
    embedded: int = 10
    page_errors: bool = True
    companies_key: str = "data"
    message_delay_seconds: float = 0.0
    delete_seconds: float = 0.0
    forget_tokens: bool = False

    def change(self, changes: Mapping[str, Any]) -> None:
        """
        Set some switches.

        Raises:
            RefusedError: an unknown switch or an impossible value; nothing is changed.
        """
        types = {field.name: field.type for field in fields(self)}
        for name, value in changes.items():
            _check(name, value, types)
        for name, value in changes.items():
            setattr(self, name, value)


def _check(name: str, value: object, types: Mapping[str, Any]) -> None:
    if name not in types:
        raise RefusedError(f"Unknown switch {name!r}. The switches are {', '.join(types)}.")
    type_ = types[name]
    if name in _CHOICES and value not in _CHOICES[name]:
        raise RefusedError(f"{name!r} must be one of {', '.join(_CHOICES[name])}.")
    if isinstance(value, bool) is not (type_ is bool):
        raise RefusedError(f"{name!r} must {'' if type_ is bool else 'not '}be true or false.")
    expected = int | float if type_ is float else type_
    if not isinstance(value, get_args(expected) or expected):
        raise RefusedError(f"{name!r} must be of type {type_.__name__}.")
    if isinstance(value, int | float) and name != "clock_shift_seconds" and value < 0:
        raise RefusedError(f"{name!r} must not be negative.")
    if name in _SHARES and isinstance(value, int | float) and value > 1:
        raise RefusedError(f"{name!r} must be between 0 and 1.")
