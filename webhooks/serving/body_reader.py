"""Reads request bodies in the event loop, with one timer for all of them."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol

# Seconds for a whole body to arrive after its headers. Intercom sends a few kilobytes at once; this leaves the inbox
# one second of the three in which we respond.
BODY_SECONDS = 2.0

# Seconds between checks for bodies that are too late. A time-out is noticed at most this much too early.
CHECK_SECONDS = 0.25


class BodyReader:
    """
    Reads bodies and gives up on those that take too long.

    A timer for each request would cost a tenth of the web process's time (measured), more than reading a small body
    does, so one task cancels the reads that are too late.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float = BODY_SECONDS) -> None:
        self._loop = loop
        self._seconds = seconds
        # The start of each running read, by its task.
        self._started: dict[asyncio.Task[Any], float] = {}
        self._checks = loop.create_task(self._cancel_late_reads())

    async def read(self, protocol: "HTTPProtocol") -> bytes:
        """Return the body; empty if it arrives too slowly or the client disconnects, so the view finds it truncated."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._started[task] = self._loop.time()
        try:
            return await protocol()
        except RuntimeError:
            return b""
        except asyncio.CancelledError:
            if task in self._started:
                raise
            task.uncancel()
            return b""
        finally:
            self._started.pop(task, None)

    async def _cancel_late_reads(self) -> None:
        while True:
            await asyncio.sleep(CHECK_SECONDS)
            latest_start = self._loop.time() - self._seconds + CHECK_SECONDS
            late = [task for task, started in self._started.items() if started < latest_start]
            for task in late:
                # Removed first: this is how `read` distinguishes this cancellation from one by the server.
                del self._started[task]
                task.cancel()
