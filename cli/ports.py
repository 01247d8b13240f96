"""Whether a port is free, asked before anything is started."""

import errno
import socket

import click

# Ports end at 65535, so a suggestion above this one goes down.
_HIGH = 60_000

_REASONS = {
    errno.EADDRINUSE: "is taken. Stop what uses it, or choose another one",
    errno.EACCES: "is kept for root. Choose another one",
}


def require_free(host: str, port: int, setting: str) -> None:
    """
    Return if a server can listen there.

    Args:
        setting: the variable that decides the port.

    Raises:
        click.ClickException: it cannot; says how to choose another port.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind, protocol) as probe:
            # Connections of an earlier server that are still closing do not count.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        if error.errno not in _REASONS:
            raise click.ClickException(
                f"This machine has no address {host} ({error.strerror}). Look at HOST."
            ) from error
        example = f"{setting}={port + 1000 if port < _HIGH else port - 1000} intercom-mirror up"
        raise click.ClickException(f"Port {port} {_REASONS[error.errno]}: {example}") from error
