"""Parses and formats the addresses in the settings. No error message repeats one: it may contain a password."""

import hashlib
import ipaddress
import tempfile
from pathlib import Path
from urllib.parse import SplitResult, parse_qsl, quote, urlencode, urlsplit, urlunsplit

# Bytes. A Unix socket's path may have 108 on Linux and 104 on macOS, including the terminating zero.
_MAX_SOCKET_PATH = 100

_POSTGRESQL = "postgresql+psycopg"
# Schemes that other tools use for PostgreSQL.
_POSTGRESQL_SCHEMES = {"postgres", "postgresql", "postgresql+psycopg", "postgresql+psycopg2"}


def database_url(url: str) -> str:
    """
    Return the URL of a database in SQLAlchemy's format; the path of a SQLite file becomes absolute.

    Raises:
        ValueError: it is neither SQLite nor PostgreSQL.
    """
    scheme, separator, rest = url.partition("://")
    if separator and scheme in _POSTGRESQL_SCHEMES:
        return f"{_POSTGRESQL}://{rest}"
    if scheme != "sqlite" or not separator:
        raise ValueError(
            "is not a supported database. Set it to sqlite:///var/mirror.db, "
            "or to postgresql+psycopg://USER:PASSWORD@HOST:5432/DATABASE."
        )
    path, question_mark, query = rest.removeprefix("/").partition("?")
    if not rest.startswith("/") or path in ("", ":memory:"):
        raise ValueError("must name a file, because several processes share it. Set it to sqlite:///var/mirror.db.")
    return f"sqlite:///{Path.cwd() / path}{question_mark}{query}"


def redis_url(url: str) -> str:
    """
    Return the URL of a Redis server in redis-py's format; blank stays blank.

    Raises:
        ValueError: it is not the URL of a Redis server.
    """
    parts = _split(url)
    if url and not (_has_redis_host(parts) or (parts.scheme == "unix" and parts.path)):
        raise ValueError(
            "is not a Redis URL. Set it to redis://HOST:6379/0, rediss://… for TLS, or unix:///path/to/socket, "
            "or leave it blank for the embedded server."
        )
    return url


def _has_redis_host(parts: SplitResult) -> bool:
    return parts.scheme in ("redis", "rediss") and bool(parts.hostname)


def _split(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        # Python's own message repeats a part of the URL.
        raise ValueError("is not a URL. Set it to one such as scheme://HOST:PORT/…") from None
    return parts


def celery_broker_url(url: str) -> str:
    """Convert redis-py's URL to Celery's, which differs for sockets and databases and needs explicit TLS options."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query))
    if parts.scheme == "unix":
        return f"redis+socket://{parts.netloc}{parts.path}?{urlencode({'virtual_host': query.get('db', '0')})}"
    number = query.get("db") or parts.path.strip("/") or "0"
    tls = {name: value for name, value in query.items() if name.startswith("ssl_")}
    if parts.scheme == "rediss":
        tls.setdefault("ssl_cert_reqs", "required")
    return urlunsplit((parts.scheme, parts.netloc, f"/{number}", urlencode(tls), ""))


def unix_url(path: Path) -> str:
    """Return the URL of a Unix socket for redis-py."""
    return f"unix://{quote(str(path))}"


def socket_path(var_dir: Path) -> Path:
    """Return a socket path in `var_dir`; if it is too long for a socket, a temporary path derived from it."""
    path = var_dir / "valkey.sock"
    if len(bytes(path)) <= _MAX_SOCKET_PATH:
        return path
    digest = hashlib.sha256(bytes(path)).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"intercom-mirror-{digest}" / "valkey.sock"


def http_url(host: str, port: int) -> str:
    """Return the http URL of a server."""
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def http_host(url: str) -> str:
    """
    Return the host of an http or https URL.

    Raises:
        ValueError: it is not one.
    """
    parts = _split(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("is not an http URL. Set it to a whole one, such as https://mirror.example.com.")
    return parts.hostname


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach a host; names are not resolved, as the result may change."""
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
