"""Reading bodies in the event loop, with one clock for all of them."""

import asyncio
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol

# Seconds for a whole body to arrive after its headers. Intercom sends a few kilobytes at once; this leaves the inbox
# one second of the three in which we answer.
BODY_SECONDS = 2.0

# Seconds between looks for readers that are too late; their senders hear it so much later at most.
LOOK_SECONDS = 0.25


class Readers:
    """
    The requests whose bodies are on their way.

    A time limit of its own for each would cost more than reading a small body does (measured: a tenth of the web
    process's time), so one task looks after all of them.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, seconds: float = BODY_SECONDS) -> None:
        self._loop = loop
        self._seconds = seconds
        # A dictionary keeps its order, so the oldest are in front.
        self._since: dict[asyncio.Task[Any], float] = {}
        self._looking = loop.create_task(self._look_forever())

    async def read(self, protocol: "HTTPProtocol") -> bytes:
        """Return the body; nothing if its sender is too slow or goes away, so that the view finds it too short."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        self._since[task] = self._loop.time()
        try:
            return await protocol()
        except RuntimeError:
            return b""
        except asyncio.CancelledError:
            if task in self._since:
                raise
            task.uncancel()
            return b""
        finally:
            self._since.pop(task, None)

    async def _look_forever(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            latest_start = self._loop.time() - self._seconds + LOOK_SECONDS
            late = [task for task, since in self._since.items() if since < latest_start]
            for task in late:
                # Taken out first: that is how the reader knows who cancelled it.
                del self._since[task]
                task.cancel()
