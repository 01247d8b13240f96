"""Pretend notifications stay on this machine: the guard that every address to send to must pass."""

import ipaddress
import socket
from urllib.parse import urlsplit

from emulator.errors import NotLoopbackError


def require_loopback(url: str) -> str:
    """
    Return the address if everything its host stands for is this machine.

    Raises:
        NotLoopbackError: it is another machine's, or no http address at all.
    """
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname or not is_loopback(parts.hostname):
        raise NotLoopbackError(
            "The emulator only sends to http addresses of this machine, such as http://127.0.0.1:8000."
        )
    return url


def is_loopback(host: str) -> bool:
    """Tell whether a host name or address stands for this machine and for nothing else."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(ipaddress.ip_address(entry[4][0]).is_loopback for entry in found)
