"""What commands need from the network: a Redis that responds, and free ports. Loads no SQL, because `up` must not."""

import errno
import socket
from collections.abc import Iterator
from contextlib import contextmanager

import click
from redis import Redis
from redis.exceptions import AuthenticationError, BusyLoadingError, RedisError

from settings import Settings
from workers.runtime.redis_clients import blocking_client

_PORT_ERRORS = {
    errno.EADDRINUSE: "is already in use",
    errno.EACCES: "may be used by root only",
}


@contextmanager
def open_redis(settings: Settings) -> Iterator[Redis]:
    """
    Yield a client of the Redis that holds the inbox.

    Raises:
        click.ClickException: Redis is unreachable, also if it becomes so inside the block.
    """
    client = blocking_client(settings.redis_url)
    try:
        client.ping()
        yield client
    except RedisError as error:
        raise click.ClickException(_redis_message(settings, error)) from error


def _redis_message(settings: Settings, error: RedisError) -> str:
    if isinstance(error, AuthenticationError):
        return "Redis does not accept the password. Check REDIS_URL."
    if isinstance(error, BusyLoadingError):
        return "Redis is still loading its data. Try again in a moment."
    if settings.embedded_redis:
        return "The mirror is not running. Run `intercom-mirror up` in this directory first."
    return f"Redis is unreachable ({type(error).__name__}). Check REDIS_URL, and that Redis is running."


def require_free_port(host: str, port: int, setting: str) -> None:
    """
    Return if a server can listen on a port.

    Args:
        setting: the variable that decides the port.

    Raises:
        click.ClickException: it cannot; the text says what to change.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # Connections in TIME_WAIT, left by an earlier server, do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno not in _PORT_ERRORS:
            raise click.ClickException(f"This machine has no address {host} ({error.strerror}). Check HOST.") from error
        reason = f"Port {port} on {host} {_PORT_ERRORS[error.errno]}."
        raise click.ClickException(f"{reason} Set {setting} to a free one.") from error
