"""Faulty wires: TCP ports of this machine that lead to a server's socket, and can be cut in three ways."""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Coroutine
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

# Seconds that a silent connection is kept. A real one whose other end vanished would stay for hours; a minute is longer
# than anything of ours may wait.
SILENT_SECONDS = 60.0
# The same for the end of a server that sends probes, as PostgreSQL does at the wish of our sessions: it gives up after
# so long. The kernel of this machine would answer them for a client that, in truth, is gone.
KEEPALIVE_TIMEOUT_SECONDS = 11.0
_CHUNK = 65_536
# Closing with this option sends a RST.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Passage:
    """One connection through a link."""

    def __init__(self, *writers: asyncio.StreamWriter) -> None:
        """`writers`: to the client's end and, if there is one, to the server's."""
        self.writers = writers
        self.silent = asyncio.Event()

    async def watch(self, probed_seconds: float) -> None:
        """Close the server's end when its probes have not been answered for so long."""
        await self.silent.wait()
        await asyncio.sleep(probed_seconds)
        _close(self.writers[-1], reset=True)
        await asyncio.sleep(SILENT_SECONDS)

    async def pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            data = await reader.read(_CHUNK)
            if self.silent.is_set():
                # Neither what comes nor that one end closes reaches the other end.
                await asyncio.sleep(SILENT_SECONDS)
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
    One port and the server behind it; `port` is where its users connect.

    Args:
        upstream: the server's Unix socket.
        probed_seconds: after which the server gives up a silent connection.
    """

    def __init__(self, upstream: Path, probed_seconds: float = SILENT_SECONDS) -> None:
        self.upstream = upstream
        self._probed_seconds = probed_seconds
        self.port = 0
        self._passages: set[_Passage] = set()
        self._silent_until = 0.0
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._server = self._run(asyncio.start_server(self._carry, "127.0.0.1", 0))
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def __exit__(self, *_: object) -> None:
        self._call(self._server.close)
        self.cut(reset=True)
        self._run(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def cut(self, *, reset: bool) -> None:
        """End all connections, with a RST or in order."""

        def close() -> None:
            for passage in self._passages:
                passage.close(reset=reset)

        self._call(close)

    def silence(self, seconds: float = 0.0) -> None:
        """Make all connections half-open for good: nothing gets through; for so long also those that come."""

        def hush() -> None:
            self._silent_until = self._loop.time() + seconds
            for passage in self._passages:
                passage.silent.set()

        self._call(hush)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # asyncio makes much of a connection's task that ends by being cancelled.
        with suppress(asyncio.CancelledError):
            await self._carry_on(reader, writer)

    async def _carry_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._loop.time() < self._silent_until:
            passage = _Passage(writer)
            passage.silent.set()
            await self._keep(passage, passage.pump(reader, writer))
            return
        try:
            far_reader, far_writer = await asyncio.open_unix_connection(self.upstream)
        except OSError:
            _close(writer, reset=True)
            return
        passage = _Passage(writer, far_writer)
        await self._keep(
            passage,
            passage.pump(reader, far_writer),
            passage.pump(far_reader, writer),
            passage.watch(self._probed_seconds),
        )

    async def _keep(self, passage: _Passage, *pumps: Coroutine[Any, Any, None]) -> None:
        self._passages.add(passage)
        tasks = [self._loop.create_task(pump) for pump in pumps]
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self._passages.discard(passage)
            passage.close(reset=False)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _end(self) -> None:
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def _call(self, action: Callable[[], object]) -> None:
        async def act() -> None:
            action()

        self._run(act())

    def _run(self, work: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result(10)


def _close(writer: asyncio.StreamWriter, *, reset: bool) -> None:
    end = writer.get_extra_info("socket")
    if reset and end is not None and end.fileno() >= 0 and end.family == socket.AF_INET:
        end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    if reset:
        writer.transport.abort()
    else:
        writer.close()
