"""
Room for the routes that may block: threads, and how many requests may wait for one.

Each kind of work has a room of its own, so that calls that wait for Intercom, or readers that wait for changes, are in
nobody else's way.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class FullError(Exception):
    """All threads are busy, and enough requests wait already. Answer 503."""


class Room:
    """
    Threads that run what blocks.

    Args:
        name: of its threads.
        threads: that many run at the same time.
        waiting: so many more may wait for one.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._most = threads + waiting
        self._inside = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """
        Run in a thread; for the event loop only.

        Raises:
            FullError: nothing was done.
        """
        if self._inside >= self._most:
            raise FullError
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        finally:
            self._inside -= 1
