"""
Thread pools for routes that may block, each with a limit on how many requests wait for a thread.

Each kind of work has its own pool, so that calls that wait for Intercom, or readers that wait for changes, do not delay
other requests.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Result = TypeVar("Result")


class FullError(Exception):
    """All threads are busy and the queue is full. Answer 503."""


class BoundedPool:
    """
    Threads for blocking work.

    Args:
        name: prefix of the thread names.
        threads: how many calls run at the same time.
        waiting: how many more may wait for a thread.
    """

    def __init__(self, name: str, threads: int, waiting: int) -> None:
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=name)
        self._capacity = threads + waiting
        self._count = 0

    async def run(self, work: Callable[[], Result]) -> Result:
        """
        Run a function in a thread; to be called from the event loop only.

        Raises:
            FullError: the function was not run.
        """
        if self._count >= self._capacity:
            raise FullError
        self._count += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._executor, work)
        finally:
            self._count -= 1
