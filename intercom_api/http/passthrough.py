"""
Forwarding a call to Intercom as its caller wrote it, and Intercom's response unchanged.

Nothing in a call can change its destination: path and query are checked and joined to the base address, and the result
is compared with the base once more before anything is sent. Redirects are not followed. Of the caller's headers only an
allow-list is forwarded, with the connected user's token.
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
# Bytes of a response, decompressed: several times the largest page of contacts, and enough for an export's download.
MAX_RESPONSE_BYTES = 64 * 1024 * 1024
# Bytes of a response that is read completely, so that the mirror can apply it.
MAX_PARSED_BYTES = 8 * 1024 * 1024
_CHUNK = 64 * 1024

# Characters of a path and of a query; servers refuse more.
MAX_ADDRESS_LENGTH = 8192

REQUEST_HEADERS = ("Accept", "Accept-Language", "Content-Type", "Idempotency-Key", "If-None-Match", "Intercom-Version")
# Not among them: Set-Cookie, Location, headers about one connection only, and those about the compressed body.
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

# The first segment of Intercom's paths.
_FIRST_SEGMENT = re.compile(r"[A-Za-z0-9_-]+")
# First segments that are not forwarded: one user's call must not uninstall the app or exchange codes.
_BLOCKED = frozenset({"auth", "oauth", "app_install"})
_FORBIDDEN = re.compile(r"[\\%\x00-\x1f\x7f-\x9f\u2028\u2029\ufffd\ud800-\udfff]")
# Visible ASCII without "#", which ends a query.
_QUERY = re.compile(r"[!-\"$-~]*")
_HEADER = re.compile(r"[\t -~]{0,1024}")


class InvalidAddressError(ValueError):
    """A path or query is not forwarded; the message gives the reason and repeats nothing of it."""


class BlockedPathError(InvalidAddressError):
    """A path of Intercom's is not available to users."""


class ResponseTooLongError(Exception):
    """Intercom's response exceeds what is forwarded, in bytes or in seconds."""


def check_path(decoded: str) -> str:
    """
    Return the path to send, encoded and with a leading slash.

    Args:
        decoded: the path after one percent-decoding.

    Raises:
        InvalidAddressError: a server or proxy on the way could read it as another path.
    """
    path = decoded.strip("/") if decoded.count("//") == 0 else decoded
    if _FORBIDDEN.search(path):
        raise InvalidAddressError("The path has a backslash, a control character, or a percent sign after decoding.")
    if len(path) > MAX_ADDRESS_LENGTH:
        raise InvalidAddressError("The path is too long.")
    segments = path.split("/")
    if any(segment.strip(". ") == "" for segment in segments):
        raise InvalidAddressError("The path has a segment that is empty or only dots.")
    if not _FIRST_SEGMENT.fullmatch(segments[0]):
        raise InvalidAddressError("The path does not begin like one of Intercom's, such as /contacts.")
    if segments[0].lower() in _BLOCKED:
        raise BlockedPathError("This part of Intercom's API is not forwarded. To disconnect, use the connect page.")
    return "/" + "/".join(quote(segment, safe="") for segment in segments)


def check_query(query: str) -> str:
    """Return a query unchanged; raises InvalidAddressError."""
    if len(query) > MAX_ADDRESS_LENGTH or not _QUERY.fullmatch(query):
        raise InvalidAddressError("The query is too long, or not encoded.")
    return query


def prepare_request(  # noqa: PLR0913, PLR0917 -- the parts of a request
    method: str, base_url: str, path: str, query: str, headers: Mapping[str, str], body: bytes | None, auth: Any
) -> requests.PreparedRequest:
    """
    Build the request below a base address.

    Raises:
        InvalidAddressError: the result would not be below the base address.
    """
    url = f"{base_url}{path}{f'?{query}' if query else ''}"
    request = requests.Request(method, url, headers=dict(headers), data=body or None, auth=auth).prepare()
    base, target = urlsplit(base_url), urlsplit(request.url or "")
    same_host = (base.scheme, base.netloc) == (target.scheme, target.netloc)
    if not same_host or target.username or target.fragment or not target.path.startswith(f"{base.path}/"):
        raise InvalidAddressError("The address would lead to another host or path.")
    return request


def filter_request_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a call that are forwarded to Intercom; `headers` ignores the case of names."""
    return _filter(headers, REQUEST_HEADERS)


def filter_response_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers of a response that are returned to the caller; `headers` ignores the case of names."""
    return _filter(headers, RESPONSE_HEADERS)


def _filter(headers: Mapping[str, str], names: Sequence[str]) -> dict[str, str]:
    pairs = ((name, headers.get(name)) for name in names)
    return {name: value for name, value in pairs if value is not None and _HEADER.fullmatch(value)}


class ProxiedResponse(msgspec.Struct):
    """
    A response whose body has not been read: read it once, with `read` or `chunks`, then `close`.

    Attributes:
        response: as requests returned it.
        seconds: what it took until the headers arrived.
        until: by time.monotonic(): when the body must have been read.
        record_response: reports the headers to the rate-limit governor; to be called once, when there is time for it.
    """

    response: requests.Response
    seconds: float
    until: float
    record_response: Callable[[], None]

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.response.status_code

    @property
    def headers(self) -> CaseInsensitiveDict[str]:
        """All headers as Intercom sent them."""
        return self.response.headers

    @property
    def length(self) -> int | None:
        """The number of bytes of the body; None if it is not known, or zero."""
        length = self.headers.get("Content-Length", "")
        if "Content-Encoding" in self.headers or not (length.isascii() and length.isdigit()):
            return None
        return int(length) or None

    def chunks(self, max_bytes: int = MAX_RESPONSE_BYTES) -> Iterator[bytes]:
        """
        Read the body, decompressed, in chunks.

        Raises:
            ResponseTooLongError: it has more bytes, or takes too long.
            TransientError: it broke off.
        """
        remaining = max_bytes
        try:
            for chunk in self.response.iter_content(_CHUNK):
                remaining -= len(chunk)
                if remaining < 0 or time.monotonic() > self.until:
                    raise ResponseTooLongError
                yield chunk
        except requests.RequestException:
            raise TransientError("Intercom's response broke off.", RETRY_PAUSE_SECONDS) from None
        finally:
            self.close()

    def read(self, max_bytes: int = MAX_PARSED_BYTES) -> bytes:
        """Read the whole body; raises as `chunks`."""
        return b"".join(self.chunks(max_bytes))

    def reply(self, content: bytes) -> Reply | None:
        """Return the reply for a 2xx response whose body is an object; None for any other one."""
        return successful_reply(self.status, self.headers, content, self.seconds)

    def close(self) -> None:
        """Return the connection to the pool, or close it if the body was not read completely."""
        self.response.close()
