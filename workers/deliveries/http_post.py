"""
HTTP POST to a URL that a user or a workflow file gave: the only place in the product that calls such URLs.

The host name is resolved once, the resolved addresses are checked, and the connection goes to exactly one of them, so
that a different resolution a moment later has no effect. The certificate is still verified against the name. Redirects
are not followed, proxies from the environment are not used, and the size and time of a response are limited.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from workers.deliveries.address_guard import DEFAULT_PORTS, Target, is_public, parse_target

# Seconds from the request to the last byte of the response. Intercom allows its own receivers five; the application may
# do some work before it responds.
CALL_SECONDS = 15.0
# Seconds to connect to one address, and for each read of the TLS handshake.
CONNECT_SECONDS = 5.0
# Bytes of a response that are read: an acknowledgement is empty, a response to a workflow step has a few thousand.
MAX_RESPONSE_BYTES = 64 * 1024
# Addresses of one name that are tried.
_MAX_ADDRESSES = 3


class PostReply(NamedTuple):
    """A response. Header names are in lower case; `body` is cut at MAX_RESPONSE_BYTES."""

    status: int
    headers: dict[str, str]
    body: bytes


class PostError(Exception):
    """
    There was no response. The text is a sentence that names no address.

    `not_sent`: the other side certainly received nothing. `permanent`: trying again never helps.
    """

    def __init__(self, message: str, *, not_sent: bool, permanent: bool = False) -> None:
        super().__init__(message)
        self.not_sent = not_sent
        self.permanent = permanent


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool) -> PostReply:
    """
    Send a POST request.

    Args:
        url: as it was given.
        body: the request body, sent unchanged.
        headers: in addition to Host and Content-Length, which are set here.
        allow_private: whether plain http, and addresses of this machine and of private networks, are allowed.

    Raises:
        PostError: there was no response.
    """
    try:
        target = parse_target(url, allow_private=allow_private)
    except ValueError as error:
        raise PostError(str(error), not_sent=True, permanent=True) from None
    connection = _connect(target, _resolve(target, allow_private=allow_private))
    try:
        with _time_limit(connection.sock, CALL_SECONDS):
            return _exchange(connection, target, body, headers)
    finally:
        connection.close()


def _resolve(target: Target, *, allow_private: bool) -> list[tuple[int, Any]]:
    try:
        resolved = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise PostError("The host name of the address could not be resolved.", not_sent=True) from None
    addresses: dict[tuple[int, Any], None] = {(int(family), address): None for family, _, _, _, address in resolved}
    # One private address is enough to refuse: a name with both kinds is an attack or a mistake.
    if not allow_private and not all(is_public(str(address[0])) for _, address in addresses):
        raise PostError(
            "The address leads into a private network. Use a public one, or set ALLOW_PRIVATE_TARGETS=1.",
            not_sent=True,
        )
    return list(addresses)[:_MAX_ADDRESSES]


def _connect(target: Target, addresses: list[tuple[int, Any]]) -> http.client.HTTPConnection:
    for family, address in addresses:
        plain = socket.socket(family, socket.SOCK_STREAM)
        plain.settimeout(CONNECT_SECONDS)
        try:
            plain.connect(address)
            connected = (
                _tls_context().wrap_socket(plain, server_hostname=target.host) if target.scheme == "https" else plain
            )
        except ssl.SSLError:
            plain.close()
            raise PostError("The certificate of the address is not valid.", not_sent=True) from None
        except OSError:
            plain.close()
            continue
        connected.settimeout(CALL_SECONDS)
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.sock = connected
        # Otherwise http.client would reconnect by name, which may resolve to another address by then.
        connection.auto_open = 0
        return connection
    raise PostError("No server accepts connections at the address.", not_sent=True)


@cache
def _tls_context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _exchange(
    connection: http.client.HTTPConnection, target: Target, body: bytes, headers: Mapping[str, str]
) -> PostReply:
    try:
        connection.putrequest("POST", target.path, skip_host=True, skip_accept_encoding=True)
        connection.putheader("Host", _host_header(target))
        connection.putheader("Content-Length", str(len(body)))
        for name, value in headers.items():
            connection.putheader(name, value)
    except (ValueError, http.client.HTTPException):
        raise PostError("The request has a header that cannot be sent.", not_sent=True, permanent=True) from None
    try:
        connection.endheaders(body)
        response = connection.getresponse()
        response_headers = {name.lower(): value for name, value in response.getheaders()}
        return PostReply(response.status, response_headers, response.read(MAX_RESPONSE_BYTES))
    except (OSError, http.client.HTTPException, ValueError):
        raise PostError("The server did not respond, or not in time.", not_sent=False) from None


def _host_header(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == DEFAULT_PORTS[target.scheme] else f"{host}:{target.port}"


@contextmanager
def _time_limit(connected: socket.socket, seconds: float) -> Iterator[None]:
    """Limit the time of the block, even if the server keeps sending single bytes, which no socket timeout notices."""
    timer = threading.Timer(seconds, _shut_down, [connected])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _shut_down(connected: socket.socket) -> None:
    try:
        # The method of the plain socket: SSLSocket.shutdown would remove the TLS state that the reading thread uses.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
    except OSError:
        # It was closed already.
        return
