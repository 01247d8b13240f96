"""The web process: granian with one worker process, which `webhooks.server` implements."""

import socket
from typing import Any

from granian.constants import HTTPModes, Interfaces, Loops
from granian.http import HTTP1Settings
from granian.server import Server
from redis.exceptions import RedisError

from settings import get_settings
from workers.inbox.durability import check_durability
from workers.runtime.redis_clients import blocking_client

# Connections that may be open at the same time, idle and half-open ones included: eight times the 500 that the tests
# open. Each costs a few kilobytes and a file descriptor.
MAX_CONNECTIONS = 4096

# Milliseconds for the headers of a request to arrive, those of the first request on a connection included. A half-open
# connection occupies one of MAX_CONNECTIONS for this long, and an idle one is kept open for this long.
HEADER_MILLISECONDS = 5_000

# Bytes of headers in one request: ten times what any sender needs. All connections together can hold a quarter of a
# GiB of incomplete headers.
MAX_HEADER_BYTES = 64 * 1024

# Seconds that running requests get to finish after SIGTERM: all of ours are answered within three.
STOP_SECONDS = 5

# Seconds between the exit of the worker process and the start of its replacement. Meanwhile connections wait in the
# listen backlog.
RESPAWN_SECONDS = 0.1


def serve() -> None:
    """
    Serve on HOST and PORT until SIGTERM or SIGINT.

    One worker process serves. Its event loop handles several thousand notifications a second, more than Intercom
    sends, and the more of them arrive in the same process, the more share one fsync. The process that calls this
    function supervises the worker process and replaces it if it crashes.

    Raises:
        SettingsError: the settings cannot be used.
        SystemExit: the port is in use, or REQUIRE_DURABLE_INBOX is 1 and Redis may lose acknowledged entries.
    """
    settings = get_settings()
    if settings.require_durable_inbox:
        _require_durable_inbox(settings.redis_url)
    _require_free_port(settings.host, settings.port)
    Server(
        # Only the label of the process: `load_server` imports it.
        "webhooks.server:server",
        address=settings.host,
        port=settings.port,
        interface=Interfaces.RSGI,
        workers=1,
        # Measured with 16 connections: 0.25 ms of CPU for a notification with uvloop, 0.32 ms with asyncio.
        loop=Loops.uvloop,
        # No HTTP/2: Intercom does not use it, and one connection could then open hundreds of requests.
        http=HTTPModes.http1,
        websockets=False,
        backlog=MAX_CONNECTIONS,
        backpressure=MAX_CONNECTIONS,
        http1_settings=HTTP1Settings(header_read_timeout=HEADER_MILLISECONDS, max_buffer_size=MAX_HEADER_BYTES),
        respawn_failed_workers=True,
        respawn_interval=RESPAWN_SECONDS,
        workers_kill_timeout=STOP_SECONDS,
    ).serve(target_loader=load_server, wrap_loader=False)


def load_server() -> Any:
    """
    Import the server in the worker process.

    granian's own loader puts the current directory at the front of `sys.path`, where a `settings.py` or `models.py` of
    another project would replace ours. It is a function of a module, because with the start method `spawn` it is
    pickled.
    """
    from webhooks.server import server  # noqa: PLC0415 -- only the worker process needs the application

    return server


def _require_durable_inbox(redis_url: str) -> None:
    try:
        result = check_durability(blocking_client(redis_url))
    except RedisError as error:
        raise SystemExit(f"REQUIRE_DURABLE_INBOX is 1, but Redis is unreachable: {error}") from None
    if not result.durable:
        raise SystemExit(f"REQUIRE_DURABLE_INBOX is 1. {result.sentence}")


def _require_free_port(host: str, port: int) -> None:
    # granian sets SO_REUSEPORT: it would share the port with another server, which would get every second notification.
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind, protocol) as probe:
        # Connections in TIME_WAIT, left by a server that just stopped, do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(address)
        except OSError as error:
            raise SystemExit(
                f"Cannot listen on port {port} of {host}: {error.strerror}. Set PORT to a free one."
            ) from None
