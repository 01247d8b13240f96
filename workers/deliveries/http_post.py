"""
The one place that calls addresses which somebody gave us.

A name is resolved once, what came of it is judged, and the connection goes to just that address: a name that leads
elsewhere a moment later changes nothing. The certificate is still asked for by name. No redirect is followed, no proxy
of the environment is used, and time and size are bounded whatever the other side does.
"""

import http.client
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any, NamedTuple

from workers.deliveries.address_guard import Target, is_public, parse_target

# Seconds for one call, from the connection to the last byte. Intercom gives its own receivers five; the application may
# do some work before it answers.
CALL_SECONDS = 15.0
# Seconds for a connection, of each of its addresses.
CONNECT_SECONDS = 5.0
# Bytes of an answer that are read: an acknowledgement has none, an answer to a workflow's step a few thousand.
LONGEST_ANSWER = 64 * 1024
# Addresses of one name that are tried.
_MOST_ADDRESSES = 3


class PostReply(NamedTuple):
    """What the other side answered; names of headers in lower case, `body` cut at LONGEST_ANSWER."""

    status: int
    headers: dict[str, str]
    body: bytes


class PostError(Exception):
    """
    There is no answer.

    `not_sent`: the other side certainly heard nothing. `permanent`: trying again never helps. The text is a sentence
    that names no address.
    """

    def __init__(self, message: str, *, not_sent: bool, permanent: bool = False) -> None:
        super().__init__(message)
        self.not_sent = not_sent
        self.permanent = permanent


def post(url: str, body: bytes, headers: Mapping[str, str], *, allow_private: bool) -> PostReply:
    """
    Post a body.

    Args:
        url: as somebody gave it.
        body: as it goes over the wire.
        headers: beside Host and Content-Length, which are ours to write.
        allow_private: whether addresses of this machine and of its networks, and plain http, are allowed.

    Raises:
        OutgoingError: see its class.
    """
    try:
        target = parse_target(url, allow_private=allow_private)
    except ValueError as error:
        raise PostError(str(error), not_sent=True, permanent=True) from None
    connection = _connect(target, _resolve(target, allow_private=allow_private))
    try:
        with _within(connection.sock, CALL_SECONDS):
            return _say(connection, target, body, headers)
    finally:
        connection.close()


def _resolve(target: Target, *, allow_private: bool) -> list[tuple[int, Any]]:
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        raise PostError("The name of the address is not known.", not_sent=True) from None
    addresses: dict[tuple[int, Any], None] = {(int(family), where): None for family, _, _, _, where in found}
    # One that is not public is enough: a name with both is a trick, or a mistake.
    if not allow_private and not all(is_public(str(where[0])) for _, where in addresses):
        raise PostError(
            "The address leads into a private network. Use a public one, or set ALLOW_PRIVATE_TARGETS=1.",
            not_sent=True,
        )
    return list(addresses)[:_MOST_ADDRESSES]


def _connect(target: Target, addresses: list[tuple[int, Any]]) -> http.client.HTTPConnection:
    for family, where in addresses:
        plain = socket.socket(family, socket.SOCK_STREAM)
        plain.settimeout(CONNECT_SECONDS)
        try:
            plain.connect(where)
            connected = (
                _context().wrap_socket(plain, server_hostname=target.host) if target.scheme == "https" else plain
            )
        except ssl.SSLError:
            plain.close()
            raise PostError("The certificate of the address does not hold.", not_sent=True) from None
        except OSError:
            plain.close()
            continue
        connected.settimeout(CALL_SECONDS)
        connection = http.client.HTTPConnection(target.host, target.port)
        connection.sock = connected
        # It would connect anew by name, to wherever that leads by then.
        connection.auto_open = 0
        return connection
    raise PostError("Nobody answers at the address.", not_sent=True)


def _encrypted(plain: socket.socket, host: str) -> socket.socket:
    encrypted = _context().wrap_socket(plain, server_hostname=host, do_handshake_on_connect=False)
    try:
        with _within(encrypted, CONNECT_SECONDS):
            encrypted.do_handshake()
    except (OSError, ValueError):
        encrypted.close()
        raise
    return encrypted


@cache
def _context() -> ssl.SSLContext:
    return ssl.create_default_context()


def _say(connection: http.client.HTTPConnection, target: Target, body: bytes, headers: Mapping[str, str]) -> PostReply:
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
        answer = connection.getresponse()
        told = {name.lower(): value for name, value in answer.getheaders()}
        return PostReply(answer.status, told, answer.read(LONGEST_ANSWER))
    except (OSError, http.client.HTTPException, ValueError):
        raise PostError("The address gave no answer, or not in time.", not_sent=False) from None


def _host_header(target: Target) -> str:
    host = f"[{target.host}]" if ":" in target.host else target.host
    return host if target.port == {"http": 80, "https": 443}[target.scheme] else f"{host}:{target.port}"


@contextmanager
def _within(connected: socket.socket, seconds: float) -> Iterator[None]:
    """Bound a part of a call also where the other side sends a byte now and then, which no time-out notices."""
    timer = threading.Timer(seconds, _break_off, [connected])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _break_off(connected: socket.socket) -> None:
    try:
        # The plain socket's own: that of an encrypted one takes its state away under the reading thread.
        socket.socket.shutdown(connected, socket.SHUT_RDWR)
    except OSError:
        # It ended by itself.
        return
