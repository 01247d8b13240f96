"""An authenticated call to the emulated API, and the reading of its parameters."""

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from emulator.api.api_errors import bad_request
from emulator.api.api_request import ApiResponse
from emulator.api.workspace_api import WorkspaceApi

# The version "Preview" compares greater than every numbered version.
_PREVIEW = (99, 0)
_OLDEST, _NEWEST = (2, 0), (2, 17)

# The first version in which owner ids are text, a merged contact is a 410 and merge histories exist.
STRINGS_AND_GONE = (2, 16)
# The first version in which searches compare times by the second.
EXACT_SECONDS = (2, 17)

# The greatest page number and page size that are read at all.
_GREATEST_NUMBER = 1_000_000_000


@dataclass(slots=True)
class ApiCall:
    """
    One call with a valid token.

    Attributes:
        api: the workspace that the token belongs to.
        rng: the source of random ids and faults.
        query: the parameters of the query string, each name once.
        body: the JSON object of the body; empty if there was no body.
        version: the API version as a pair, such as (2, 16).
        region: the region prefix of the address, such as "us".
        host: the host and port that the caller used.
    """

    api: WorkspaceApi
    rng: random.Random
    query: Mapping[str, str]
    body: dict[str, Any]
    version: tuple[int, int]
    region: str
    host: str

    def url(self, path: str) -> str:
        """Return the absolute address of an API path, as links in responses contain it."""
        return f"http://{self.host}/{self.region}{path}"

    def number(self, name: str, default: int, most: int | None = None) -> int:
        """
        Return a positive number from the query string.

        Raises:
            ApiError: the value is not a positive number, or is greater than `most`.
        """
        return positive_number(self.query.get(name), name, default, most)

    def required(self, name: str) -> str:
        """
        Return a field of the body as text.

        Raises:
            ApiError: the field is missing or empty.
        """
        if not self.body.get(name):
            raise bad_request(f"{name} not specified", "parameter_not_found")
        return str(self.body[name])


Handler = Callable[..., dict[str, Any] | ApiResponse]
Routes = dict[tuple[str, str], Handler]


def positive_number(value: object, name: str, default: int, most: int | None = None) -> int:
    """
    Read a positive number, given as a number or as digits; None means the default.

    Raises:
        ApiError: the value is not a positive number, or is greater than `most`.
    """
    if value is None:
        return default
    if isinstance(value, bool) or not str(value).isascii() or not str(value).isdigit() or int(str(value)) < 1:
        raise bad_request(f"{name} must be a positive number", "parameter_invalid")
    most = most or _GREATEST_NUMBER
    if len(str(value)) > len(str(_GREATEST_NUMBER)) or int(str(value)) > most:
        raise bad_request(f"{name} is too big: at most {most}", "parameter_invalid")
    return int(str(value))


def parse_version(name: str) -> tuple[int, int]:
    """
    Parse the value of the Intercom-Version header.

    Raises:
        ApiError: the version does not exist.
    """
    if name.lower() in ("preview", "unstable"):
        return _PREVIEW
    major, _, minor = name.partition(".")
    if major.isdigit() and minor.isdigit() and _OLDEST <= (int(major), int(minor)) <= _NEWEST:
        return int(major), int(minor)
    raise bad_request("The requested version could not be found", "intercom_version_invalid")
