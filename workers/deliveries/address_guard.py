"""
Which addresses may be called that somebody gave us. Pure.

What counts is the address that a connection is made to, in whatever way it was spelt: as a name, in decimal, in octal,
or an IPv4 address inside an IPv6 one.
"""

from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import NamedTuple
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}

# Characters of an address; browsers and servers take no longer ones either.
LONGEST_URL = 2048

# Networks whose addresses hold an IPv4 address that they lead to, and by how many bits it is shifted.
_EMBEDDING: tuple[tuple[IPv6Network, int], ...] = (
    (IPv6Network("64:ff9b::/96"), 0),
    (IPv6Network("::/96"), 0),
    (IPv6Network("2002::/16"), 80),
)

# Of public form, and yet answered by the machine's own cloud: metadata and keys.
_METADATA = frozenset({ip_address("168.63.129.16"), ip_address("fd00:ec2::254"), ip_address("100.100.100.200")})

# Networks that are local by agreement, though Python calls some of their addresses global.
_LOCAL = tuple(ip_network(each) for each in ("192.88.99.0/24", "2001::/23", "64:ff9b:1::/48", "fec0::/10", "5f00::/16"))


class Target(NamedTuple):
    """Where to connect, and what to say there: `path` with its query."""

    scheme: str
    host: str
    port: int
    path: str


def parse_target(url: str, *, allow_private: bool) -> Target:
    """
    Take an address apart.

    Raises:
        ValueError: it cannot be used; the text says why and does not repeat it.
    """
    if len(url) > LONGEST_URL or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError(f"The address is not at most {LONGEST_URL} printable ASCII characters without spaces.")
    parts = urlsplit(url)
    if parts.scheme not in _PORTS or (parts.scheme == "http" and not allow_private):
        raise ValueError("The address does not begin with https://.")
    if "@" in parts.netloc:
        raise ValueError("The address holds a name or password. Leave it out; the signature says who calls.")
    if not parts.hostname or "%" in parts.netloc:
        raise ValueError("The address has no usable host.")
    try:
        port = parts.port
    except ValueError:
        raise ValueError("The address has no usable port.") from None
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.scheme, parts.hostname, _PORTS[parts.scheme] if port is None else port, path)


def is_public(text: str) -> bool:
    """Tell whether an IP address is one of the public internet; what cannot be read is not."""
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
