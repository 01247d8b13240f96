"""
Passing a call on to Intercom as somebody else wrote it, and its answer back as it is.

Nothing in a call can change where it goes: path and query are checked, joined to the base address, and the outcome is
compared with the base once more before anything is sent. Redirects are not followed. What goes over besides is an
allow-list of headers, with our own token.
"""

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import requests
from requests.structures import CaseInsensitiveDict

from intercom_api.errors import TransientError
from intercom_api.http.replies import RETRY_PAUSE_SECONDS, Reply, successful_reply

# Seconds from the first byte sent to the last one received. Intercom's slowest searches take half a minute.
TOTAL_TIMEOUT_SECONDS = 60.0
# Bytes of an answer, unpacked: several times the largest page of contacts, and room for an export's download.
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
# Bytes of an answer that is read whole, so that the mirror can learn from it.
MAX_PARSED_BYTES = 8 * 1024 * 1024
_CHUNK = 64 * 1024

# Characters of a path and of a query; servers refuse more.
MAX_ADDRESS_LENGTH = 8192

REQUEST_HEADERS = ("Accept", "Accept-Language", "Content-Type", "Idempotency-Key", "If-None-Match", "Intercom-Version")
# Never: Set-Cookie, Location, what is about one connection only, and what was true of the packed body.
RESPONSE_HEADERS = (
    "Content-Disposition",
    "Content-Language",
    "Content-Type",
    "ETag",
    "Intercom-Version",
    "Last-Modified",
    "Link",
    "Retry-After",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
    "X-Request-Id",
)

# What says what: what begins otherwise is none of Intercom's.
_FIRST = re.compile(r"[A-Za-z0-9_-]+")
# Ending the app's installation, or exchanging codes, is no business of one user's calls.
_CLOSED = frozenset({"auth", "oauth", "app_install"})
_FORBIDDEN = re.compile(r"[\\%\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ud800-\udfff]")
# Visible ASCII, as a browser sends a query, without what ends one.
_QUERY = re.compile(r"[!-\"$-~]*")
_HEADER = re.compile(r"[\t -~]{0,1024}")


class InvalidAddressError(ValueError):
    """A path or query that is not passed on; the text says why and repeats none of it."""


class BlockedPathError(InvalidAddressError):
    """A path of Intercom's that is not for users."""


class ResponseTooLongError(Exception):
    """Intercom's answer is longer than what is passed on, in bytes or in seconds."""


def check_path(decoded: str) -> str:
    """
    Return the path to send for one that was decoded once, with a slash in front.

    Raises:
        AddressError: it could be read as something else by somebody on the way.
    """
    path = decoded.strip("/") if decoded.count("//") == 0 else decoded
    if _FORBIDDEN.search(path):
        raise InvalidAddressError("The path has a backslash, a control character, or a percent sign after decoding.")
    if len(path) > MAX_ADDRESS_LENGTH:
        raise InvalidAddressError("The path is too long.")
    segments = path.split("/")
    if any(segment.strip(". ") == "" for segment in segments):
        raise InvalidAddressError("The path has an empty part or one of dots only.")
    if not _FIRST.fullmatch(segments[0]):
        raise InvalidAddressError("The path does not begin like one of Intercom's, such as /contacts.")
    if segments[0].lower() in _CLOSED:
        raise BlockedPathError("This part of Intercom is not passed on. To disconnect, use the connect page.")
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def check_query(query: str) -> str:
    """Return a query as it came; raises AddressError."""
    if len(query) > MAX_ADDRESS_LENGTH or not _QUERY.fullmatch(query):
        raise InvalidAddressError("The query is too long, or not encoded.")
    return query


def prepare_request(  # noqa: PLR0913, PLR0917 -- a request has as many sides
    method: str, base_url: str, path: str, query: str, headers: Mapping[str, str], body: bytes | None, auth: Any
) -> requests.PreparedRequest:
    """
    Make the request below a base address.

    Raises:
        AddressError: it would not go below the base.
    """
    whole = f"{base_url}{path}{f'?{query}' if query else ''}"
    made = requests.Request(method, whole, headers=dict(headers), data=body or None, auth=auth).prepare()
    wanted, going = urlsplit(base_url), urlsplit(made.url or "")
    same = (wanted.scheme, wanted.netloc) == (going.scheme, going.netloc) and not going.username and not going.fragment
    if not same or not going.path.startswith(f"{wanted.path}/"):
        raise InvalidAddressError("The address would lead elsewhere.")
    return made


def filter_request_headers(given: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a call that go over to Intercom; `given` knows names in whatever case."""
    return _harmless(given, REQUEST_HEADERS)


def filter_response_headers(given: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of an answer that go back; `given` as above."""
    return _harmless(given, RESPONSE_HEADERS)


def _harmless(given: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    found = ((name, given.get(name)) for name in names)
    return {name: value for name, value in found if value is not None and _HEADER.fullmatch(value)}


class ProxiedResponse(msgspec.Struct):
    """
    An answer whose body is still to be read: once, by `read` or `chunks`, then `close`.

    `seconds`: what it took until the headers were there. `record_response`: reports the response's headers to the
    governor; to be called once, when there is time for it.
    """

    response: requests.Response
    seconds: float
    until: float
    record_response: Callable[[], None]

    @property
    def status(self) -> int:
        """The status of HTTP."""
        return self.response.status_code

    @property
    def headers(self) -> CaseInsensitiveDict[str]:
        """All headers as Intercom sent them."""
        return self.response.headers

    @property
    def length(self) -> int | None:
        """How many bytes the body will have; None if that is not known, or zero."""
        told = self.headers.get("Content-Length", "")
        return (
            int(told) or None if told.isascii() and told.isdigit() and "Content-Encoding" not in self.headers else None
        )

    def chunks(self, longest: int = MAX_RESPONSE_BYTES) -> Iterator[bytes]:
        """
        Read the body, unpacked, piece by piece.

        Raises:
            AnswerTooLongError: it has more bytes, or takes too long.
            TransientError: it broke off.
        """
        left = longest
        try:
            for chunk in self.response.iter_content(_CHUNK):
                left -= len(chunk)
                if left < 0 or time.monotonic() > self.until:
                    raise ResponseTooLongError
                yield chunk
        except requests.RequestException:
            raise TransientError("Intercom's answer broke off.", RETRY_PAUSE_SECONDS) from None
        finally:
            self.close()

    def read(self, longest: int = MAX_PARSED_BYTES) -> bytes:
        """Read the body whole; raises as `chunks`."""
        return b"".join(self.chunks(longest))

    def reply(self, content: bytes) -> Reply | None:
        """Return a good answer whose body is an object; None for any other one."""
        return successful_reply(self.status, self.headers, content, self.seconds)

    def close(self) -> None:
        """Give the connection back, or close it if the body was not read to its end."""
        self.response.close()
