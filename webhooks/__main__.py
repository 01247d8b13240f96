"""The web process: `python -m webhooks` serves on HOST and PORT until it is told to stop."""

import socket

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server import Server
from redis.exceptions import RedisError

from settings import SettingsError, get_settings
from workers.inbox.durability import check_durability
from workers.runtime.redis_clients import blocking_client

# Connections that may be open at the same time, idle and half-open ones included: eight times the 500 that the tests
# open against it. Each costs a few kilobytes and a file descriptor.
MAX_CONNECTIONS = 4096

# Milliseconds for the headers of a request to arrive, also the first ones of a connection: so long a half-open
# connection takes one of the places above, and an idle one is kept.
HEADER_MILLISECONDS = 5_000

# Bytes of headers that a request may have; ten times what any sender needs. All connections together could so hold
# a quarter of a GiB of unfinished headers.
MAX_HEADER_BYTES = 64 * 1024

# Seconds that running requests get to end when the process is told to stop: all of ours are answered within three.
STOP_SECONDS = 5

# Seconds between the death of the process that serves and its successor. Meanwhile connections wait in the backlog.
RESPAWN_SECONDS = 0.1


def main() -> None:
    """
    Serve.

    One process serves: its event loop takes several thousand notifications a second, more than Intercom sends, and
    the more of them meet in one process, the more share one fsync. Another process watches over it.
    """
    try:
        settings = get_settings()
    except SettingsError as error:
        raise SystemExit(str(error)) from None
    if settings.require_durable_inbox:
        _check_durability(settings.redis_url)
    _check_port(settings.host, settings.port)
    Server(
        "webhooks.server:server",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        workers=1,
        # Measured with 16 connections: uvloop takes 0.25 ms where asyncio takes 0.32.
        loop=Loops.uvloop,
        # No HTTP/2: Intercom does not speak it, and one connection could then open hundreds of requests.
        http=HTTPModes.http1,
        websockets=False,
        backlog=MAX_CONNECTIONS,
        backpressure=MAX_CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS, max_buffer_size=MAX_HEADER_BYTES),
        respawn_failed_workers=True,
        respawn_interval=RESPAWN_SECONDS,
        workers_kill_timeout=STOP_SECONDS,
    ).serve()


def _check_durability(redis_url: str) -> None:
    try:
        found = check_durability(blocking_client(redis_url))
    except RedisError as error:
        raise SystemExit(f"REQUIRE_DURABLE_INBOX is set, and Redis cannot be asked: {error}") from None
    if not found.durable:
        raise SystemExit(f"REQUIRE_DURABLE_INBOX is set. {found.sentence}")


def _check_port(host: str, port: int) -> None:
    # granian would share the port with whoever has it, and every second notification would go there.
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # A server that just stopped leaves connections behind that do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise SystemExit(f"Port {port} of {host} cannot be had ({error.strerror}). Write another PORT.") from None


if __name__ == "__main__":
    main()
