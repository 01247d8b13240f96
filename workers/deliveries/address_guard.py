"""
Which addresses may be called for a URL that a user or a workflow file gave. Pure: no name is resolved here.

The check applies to the IP address that a connection is made to, however it was written: as a name, in decimal, in
octal, or as an IPv4 address inside an IPv6 address.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

DEFAULT_PORTS = {"http": 80, "https": 443}

# Characters of a URL; browsers and servers accept no longer ones either.
MAX_URL_LENGTH = 2048

# Networks whose addresses contain the IPv4 address that they lead to, and the position of its lowest bit.
_EMBEDDING: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)

# Global addresses at which cloud providers serve metadata and keys to their own machines.
_METADATA = frozenset({ip_address("168.63.129.16"), ip_address("fd00:ec2::254"), ip_address("100.100.100.200")})

# Networks that are local by convention, although Python treats some of their addresses as global.
_LOCAL = tuple(ip_network(each) for each in ("192.88.99.0/24", "2001::/23", "64:ff9b:1::/48", "fec0::/10", "5f00::/16"))


class Target(NamedTuple):
    """Where to connect and what to request; `path` includes the query."""

    scheme: str
    host: str
    port: int
    path: str


def parse_target(url: str, *, allow_private: bool) -> Target:
    """
    Parse a URL.

    Args:
        url: as it was given.
        allow_private: whether plain http is allowed.

    Raises:
        ValueError: the URL cannot be used; the text explains why and does not repeat it.
    """
    if len(url) > MAX_URL_LENGTH or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError(f"The address must be at most {MAX_URL_LENGTH} printable ASCII characters without spaces.")
    parts = urlsplit(url)
    if parts.scheme not in DEFAULT_PORTS or (parts.scheme == "http" and not allow_private):
        raise ValueError("The address must begin with https://.")
    if "@" in parts.netloc:
        raise ValueError(
            "The address contains a user name or password. Remove it; the signature identifies the sender."
        )
    if not parts.hostname or "%" in parts.netloc:
        raise ValueError("The address has no valid host.")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("The address has no valid port.") from None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, DEFAULT_PORTS[parts.scheme] if port is None else port, path)


def is_public(text: str) -> bool:
    """Return whether an IP address belongs to the public internet; False for text that is not an IP address."""
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return False
    return _is_public(address)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if address in _METADATA or any(address in network for network in _LOCAL):
        return False
    if isinstance(address, IPv6Address):
        embedded = address.ipv4_mapped or _embedded(address)
        if embedded is not None:
            return _is_public(embedded)
    return address.is_global and not (address.is_multicast or address.is_reserved or address.is_unspecified)


def _embedded(address: IPv6Address) -> IPv4Address | None:
    for network, shift in _EMBEDDING:
        if address in network:
            return IPv4Address(int(address) >> shift & 0xFFFF_FFFF)
    return None
