"""What makes Intercom hard to speak to, each thing with a switch; by default it is as kind as Intercom ever is."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, get_args

from emulator.errors import RefusedError

# The shares of calls that go wrong.
_SHARES = frozenset({"error_rate", "empty_rate", "broken_rate", "scroll_error_rate"})
_CHOICES = {"version_grain": ("day", "second"), "companies_key": ("data", "companies")}


@dataclass
class BehaviourSwitches:
    """
    Each can be changed while calls are under way.

    Attributes:
        latency_ms: what every call takes beside the work; the answer is made half way.
        error_rate: share of calls that end in a random 5xx, half of them after the work was done, 0 to 1.
        empty_rate: share of good answers whose body is empty.
        broken_rate: share of good answers whose JSON breaks off.
        rate_limit: calls per minute of one app in one workspace, counted in windows of ten seconds; 0: none.
        index_lag_seconds: how much later than everywhere else list and search see what was created or changed.
        scroll_error_rate: share of scroll pages that end the scroll with a 500.
        scroll_lock: somebody else has a scroll open in every workspace.
        clock_shift_seconds: how far the pretend time is ahead of the clock.
        version_grain: "day" or "second": how exactly contacts are searched by time up to API 2.16.
        default_version: what a call without the header Intercom-Version speaks.
        list_wall: POST /companies/list shows so many companies and refuses to go on.
        show_lonely: list and scroll also show companies without contacts.
        show_archived: an archived contact is found by its id; else 404. Which of both Intercom does is not documented.
        company_limit: so many companies a contact can have.
        embedded: so many tags, companies and notes are inside a contact; the others are behind `url`.
        page_errors: an empty `starting_after` is answered 500 and the word None 400, as Intercom does; else both 400.
        companies_key: under which key GET /contacts/{id}/companies lists: the docs' example and schema differ.
        message_delay_seconds: so long after its creation a contact cannot be written to (404).
        delete_seconds: so long a deleted company waits for its end.
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

    def change(self, wanted: Mapping[str, Any]) -> None:
        """
        Set some of them.

        Raises:
            RefusedError: an unknown name or an impossible value; nothing is changed.
        """
        kinds = {field.name: field.type for field in fields(self)}
        for name, value in wanted.items():
            _check(name, value, kinds)
        for name, value in wanted.items():
            setattr(self, name, value)


def _check(name: str, value: object, kinds: Mapping[str, Any]) -> None:
    if name not in kinds:
        raise RefusedError(f"There is no quirk {name!r}; there are {', '.join(kinds)}.")
    kind = kinds[name]
    if name in _CHOICES and value not in _CHOICES[name]:
        raise RefusedError(f"{name!r} is one of {', '.join(_CHOICES[name])}.")
    if isinstance(value, bool) is not (kind is bool):
        raise RefusedError(f"{name!r} is {'true or false' if kind is bool else 'not true or false'}.")
    wanted = int | float if kind is float else kind
    if not isinstance(value, get_args(wanted) or wanted):
        raise RefusedError(f"{name!r} is of another type ({kind.__name__}).")
    if isinstance(value, int | float) and name != "clock_shift_seconds" and value < 0:
        raise RefusedError(f"{name!r} is not negative.")
    if name in _SHARES and isinstance(value, int | float) and value > 1:
        raise RefusedError(f"{name!r} is a share, 0 to 1.")
