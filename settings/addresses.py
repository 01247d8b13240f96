"""Reading and writing the addresses in the settings. No message repeats one: it may hold a password."""

import hashlib
import ipaddress
import tempfile
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

# A Unix socket's path may have 108 bytes on Linux and 104 on macOS, the closing zero included.
_LONGEST_SOCKET_PATH = 100

_POSTGRESQL = "postgresql+psycopg"
# Names that other tools give to what our driver speaks.
_POSTGRESQL_NAMES = {"postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"}


def database(url: str) -> str:
    """
    Return the address of a database as SQLAlchemy wants it; a SQLite file's path becomes absolute.

    Raises:
        ValueError: neither SQLite nor PostgreSQL.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme in _POSTGRESQL_NAMES:
        return f"{_POSTGRESQL}://{rest}"
    if scheme != "sqlite" or not separator:
        raise ValueError(
            "is no database that we know. Write sqlite:///var/mirror.db, "
            "or postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE."
        )
    path, question_mark, query = rest.removeprefix("/").partition("?")
    if not rest.startswith("/") or path in ("", ":memory:"):
        raise ValueError("must name a file, because several processes share it. Write sqlite:///var/mirror.db.")
    return f"sqlite:///{Path.cwd() / path}{question_mark}{query}"


def redis(url: str) -> str:
    """
    Return the address of a Redis as redis-py wants it; blank stays blank.

    Raises:
        ValueError: no address of a Redis.
    """
    parts = _split(url)
    if url and not (_reaches_host(parts) or (parts.scheme == "unix" and parts.path)):
        raise ValueError(
            "is no Redis address. Write redis://HOST:6379/0, rediss://… for TLS, unix:///path/to/socket, "
            "or nothing for the embedded server."
        )
    return url


def _reaches_host(parts: SplitResult) -> bool:
    return parts.scheme in ("redis", "rediss") and bool(parts.hostname)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # Python's own message repeats a part of the address.
        raise ValueError("is no address. Write it like scheme://HOST:PORT/…") from None
    return parts


def celery_broker_url(redis_url: str) -> str:
    """Write redis-py's address as Celery reads it: sockets and databases are named otherwise, TLS must be spelt out."""
    parts = urlsplit(redis_url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "unix":
        return f"redis+socket://{parts.netloc}{parts.path}?{urlencode({'virtual_host': query.get('db', '0')})}"
    number = query.get("db") or parts.path.strip("/") or "0"
    tls = {name: value for name, value in query.items() if name.startswith("ssl_")}
    if parts.scheme == "rediss":
        tls.setdefault("ssl_cert_reqs", "required")
    return urlunsplit((parts.scheme, parts.netloc, f"/{number}", urlencode(tls), ""))


def unix(path: Path) -> str:
    """Write a socket's path as an address that redis-py reads."""
    return f"unix://{quote(str(path))}"


def socket_path(var_dir: Path) -> Path:
    """Name a socket in `var_dir`; where its path is too long for a socket, one that the path decides."""
    path = var_dir / "valkey.sock"
    if len(bytes(path)) <= _LONGEST_SOCKET_PATH:
        return path
    digest = hashlib.sha256(bytes(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"intercom-mirror-{digest}" / "valkey.sock"


def http_url(host: str, port: int) -> str:
    """Write the address of a server."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def http_host(url: str) -> str:
    """
    Return the host of an http address.

    Raises:
        ValueError: it is none.
    """
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is no address. Write it whole, such as https://mirror.example.com.")
    return parts.hostname


def is_loopback(host: str) -> bool:
    """Tell whether only this machine can reach an address; names are not looked up, as an answer may change."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
