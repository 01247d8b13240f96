"""TCP proxies in front of a server's Unix socket, whose connections can be reset, closed, or made half-open."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

# Seconds that a half-open connection is kept. A real one would stay for hours; a minute is longer than anything in the
# product may wait.
HALF_OPEN_SECONDS = 60.0
# The same for the end of a server that sends keepalive probes, as PostgreSQL does with our session settings: it gives
# up after so long. On this machine the kernel would respond to the probes for a client that is gone in reality.
KEEPALIVE_TIMEOUT_SECONDS = 11.0
_CHUNK_BYTES = 65_536
# Closing a socket with this SO_LINGER value sends a RST.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
_CALL_TIMEOUT_SECONDS = 10


class _ProxiedConnection:
    """One connection through a proxy."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        """`writers`: to the client and, unless the connection began half-open, to the server."""
        self.writers = writers
        self.half_open = asyncio.Event()

    async def close_server_end(self, timeout_seconds: float) -> None:
        """Close the server's end when its keepalive probes have had no response for so long."""
        await self.half_open.wait()
        await asyncio.sleep(timeout_seconds)
        _close(self.writers[-1], reset=True)
        await asyncio.sleep(HALF_OPEN_SECONDS)

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            data = await reader.read(_CHUNK_BYTES)
            if self.half_open.is_set():
                # Neither data nor the close of one end reaches the other end.
                await asyncio.sleep(HALF_OPEN_SECONDS)
                return
            if not data:
                return
            writer.write(data)
            await writer.drain()

    def close(self, *, reset: bool) -> None:
        for writer in self.writers:
            _close(writer, reset=reset)


class FaultProxy:
    """
    One proxy; clients connect to `port`.

    Args:
        upstream: the server's Unix socket.
        keepalive_timeout_seconds: after which the server gives up a half-open connection.
    """

    def __init__(self, upstream: Path, keepalive_timeout_seconds: float = HALF_OPEN_SECONDS) -> None:
        self.upstream = upstream
        self._keepalive_timeout_seconds = keepalive_timeout_seconds
        self.port = 0
        self._connections: set[_ProxiedConnection] = set()
        self._half_open_until = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._accept, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._server.close)
        self.cut(reset=True)
        self._run(self._cancel_tasks())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self, *, reset: bool) -> None:
        """Close all connections, with a RST or with a FIN."""

        def close() -> None:
            for connection in self._connections:
                connection.close(reset=reset)

        self._call(close)

    def silence(self, seconds: float = 0.0) -> None:
        """Make all connections half-open permanently, and for `seconds` new ones too."""

        def make_half_open() -> None:
            self._half_open_until = self._loop.time() + seconds
            for connection in self._connections:
                connection.half_open.set()

        self._call(make_half_open)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio logs a traceback for a connection's task that ends by being cancelled.
        with suppress(asyncio.CancelledError):
            await self._forward(reader, writer)

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._loop.time() < self._half_open_until:
            connection = _ProxiedConnection(writer)
            connection.half_open.set()
            await self._run_until_closed(connection, connection.pump(reader, writer))
            return
        try:
            server_reader, server_writer = await asyncio.open_unix_connection(self.upstream)
        except OSError:
            _close(writer, reset=True)
            return
        connection = _ProxiedConnection(writer, server_writer)
        await self._run_until_closed(
            connection,
            connection.pump(reader, server_writer),
            connection.pump(server_reader, writer),
            connection.close_server_end(self._keepalive_timeout_seconds),
        )

    async def _run_until_closed(self, connection: _ProxiedConnection, *pumps: Coroutine[Any, Any, None]) -> None:
        self._connections.add(connection)
        tasks = [self._loop.create_task(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._connections.discard(connection)
            connection.close(reset=False)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _cancel_tasks(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _call(self, action: Callable[[], object]) -> None:
        """Call a function in the event loop, and wait for it."""

        async def act() -> None:
            action()

        self._run(act())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(_CALL_TIMEOUT_SECONDS)


def _close(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    connection = writer.get_extra_info("socket")
    if reset and connection is not None and connection.fileno() >= 0 and connection.family == socket.AF_INET:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    if reset:
        writer.transport.abort()
    else:
        writer.close()
