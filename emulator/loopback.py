"""Checks that an address belongs to this machine, which emulated notifications must never leave."""

import ipaddress
import socket
from urllib.parse import urlsplit

from emulator.errors import NotLoopbackError


def require_loopback(url: str) -> str:
    """
    Return the URL if every address of its host is a loopback address.

    Raises:
        NotLoopbackError: the host is another machine, or the URL is not an http URL.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or not is_loopback(parts.hostname):
        raise NotLoopbackError(
            "The emulator only sends to http addresses of this machine, such as http://127.0.0.1:8000."
        )
    return url


def is_loopback(host: str) -> bool:
    """Whether every address of a host name is a loopback address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        entries = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in entries)
