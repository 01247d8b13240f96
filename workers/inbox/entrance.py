"""Where a process gets its appender from: in its own event loop if it has one, else in a thread of ours."""

import asyncio
import os
import threading
import time
from functools import cache

from settings import get_settings
from workers.celery import app
from workers.inbox import doorbell
from workers.inbox.appender import ANSWER_SECONDS, Appender
from workers.runtime.counters import count
from workers.runtime.redis_clients import loop_client


async def open_appender() -> Appender:
    """Make the appender of the running loop."""
    ringer = doorbell.DoorbellSender(lambda: doorbell.publish(app))
    return Appender(loop_client(get_settings().redis_url), ringer.ring)


class BackgroundAppender:
    """An appender for processes of threads, such as a plain WSGI server: its loop runs in one more thread."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, name="appender", daemon=True).start()
        self._appender = asyncio.run_coroutine_threadsafe(open_appender(), self._loop).result(ANSWER_SECONDS)

    def append(self, body: bytes) -> str:
        """Append and wait; returns the id of the entry. Raises InboxRefusedError within ANSWER_SECONDS."""
        return asyncio.run_coroutine_threadsafe(self._append(body, time.time()), self._loop).result()

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""
        self._loop.call_soon_threadsafe(lambda: count(self._appender.pending_counts, name, 1, **labels))

    async def _append(self, body: bytes, received_at: float) -> str:
        return await self._appender.append(body, received_at, self._loop.time() + ANSWER_SECONDS)


def background_appender() -> BackgroundAppender:
    """Return this process's; a fork gets one of its own, because threads and sockets do not survive a fork."""
    return _background_appender_of(os.getpid())


@cache
def _background_appender_of(_process_id: int) -> BackgroundAppender:
    return BackgroundAppender()
