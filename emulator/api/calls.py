"""A call to the pretend API and its answer, whatever carried them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from emulator.api.faults import bad_request

if TYPE_CHECKING:
    from emulator.api.intercom import Intercom
    from emulator.api.tenant import Tenant

# Preview is ahead of every number.
_PREVIEW = (99, 0)
_OLDEST, _NEWEST = (2, 0), (2, 17)

# The first version with another form of owner ids, with 410 for merged contacts and with merge history; and the first
# that searches by the second.
STRINGS_AND_GONE = (2, 16)
EXACT_SECONDS = (2, 17)

OK = 200

# No page number and no size is larger.
_MOST = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Answer:
    """What is sent back: `content` is JSON to be encoded, or the bytes themselves; None is an empty body."""

    status: int = OK
    content: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Call:
    """
    One call, its sender known.

    Attributes:
        query: the query string, each name once.
        body: the JSON object that was sent, or an empty one.
        version: as a pair, (2, 16).
        tenant: the workspace of the token.
        token: as it was sent.
        region: the prefix that was called, "us".
        host: the address that was called.
    """

    intercom: "Intercom"
    tenant: "Tenant"
    token: str
    query: Mapping[str, str]
    body: dict[str, Any]
    version: tuple[int, int]
    region: str
    host: str

    def number(self, name: str, default: int, most: int | None = None) -> int:
        """
        Return a positive number of the query string.

        Raises:
            ApiError: it is no number, or too large.
        """
        return positive(self.query.get(name), name, default, most)


Handler = Callable[..., "dict[str, Any] | Answer"]
Routes = dict[tuple[str, str], Handler]


def positive(value: object, name: str, default: int, most: int | None = None) -> int:
    """
    Read a positive number that somebody sent, as a number or in digits; None stands for the default.

    Raises:
        ApiError: it is no number, or larger than `most`.
    """
    if value is None:
        return default
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdigit() or int(str(value)) < 1:
        raise bad_request(f"{name} must be a positive number", "parameter_invalid")
    most = most or _MOST
    if len(str(value)) > len(str(_MOST)) or int(str(value)) > most:
        raise bad_request(f"{name} is too big: at most {most}", "parameter_invalid")
    return int(str(value))


def version_of(name: str) -> tuple[int, int]:
    """
    Read the header Intercom-Version.

    Raises:
        ApiError: there is no such version.
    """
    if name.lower() in ("preview", "unstable"):
        return _PREVIEW
    major, _, minor = name.partition(".")
    if major.isdigit() and minor.isdigit() and _OLDEST <= (int(major), int(minor)) <= _NEWEST:
        return int(major), int(minor)
    raise bad_request("The requested version could not be found", "intercom_version_invalid")
