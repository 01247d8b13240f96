"""
The web server's side of the application: granian calls `server` in its event loop (its RSGI interface).

    python -m webhooks      (the settings that matter are in __main__.py)

Bodies are read in the event loop, with a deadline and a size cap, so that slow and half-open senders cost a few
kilobytes each and nobody else's time. A notification then runs through Flask right there: it is a tenth of a
millisecond of pure computing, and a hand-over to a thread would cost more. Its answer is held back until Redis has
the entry on disk. Every other route may block, and runs in a small pool of threads.

Measured with 16 connections, alternating on a busy machine: 0.24 ms of this process's CPU for a notification, against
0.36 ms for the same application under granian's WSGI interface with 16 threads, which half-sent bodies can stop.
"""

import asyncio
import io
import os
import signal
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from settings import get_settings, logs
from webhooks.api_loop import PREFIX, Acting
from webhooks.app import create_app
from webhooks.intercom.notifications import INBOX_KEY, PATH, refused_by_inbox
from webhooks.operations.health import ALIVE_PATH
from webhooks.serving import wsgi_bridge
from webhooks.serving.body_reader import Readers
from webhooks.serving.request_body import announced_length
from webhooks.serving.responses import RefusalError, place_of
from webhooks.serving.wsgi_bridge import Answer
from workers.inbox.appender import RESPONSE_SECONDS, RETRY_AFTER_SECONDS, Appender, InboxRefusedError, open_appender
from workers.runtime.counters import count

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian.rsgi import Scope

log = structlog.get_logger()

# Bodies that are larger than SMALL_BODY_BYTES share MAX_LARGE_BYTES while they arrive, so that many senders of large
# or never-ending bodies can neither fill memory nor be in the way of notifications, which are a few kilobytes.
SMALL_BODY_BYTES = 64 * 1024
MAX_LARGE_BYTES = 64 * 1024 * 1024

# Seconds between looks whether the parent process still lives.
PARENT_SECONDS = 1.0

# Seconds that a thread may compute before another one gets its turn, where several want to. A call that is passed on
# waits for its turn after each of its four answers from elsewhere: with Python's own 5 ms it took 7.4 ms longer than
# without us, with this 3.2 (two busy cores). A notification is answered in one turn, and is not touched by it.
SWITCH_SECONDS = 0.0002

# Threads for the routes that may block for as long as Redis or SQL take: a handful of probes, scrapers and uninstall
# notices at a time.
POOL_THREADS = 4

# Threads for the pages of connecting, apart from those: some of them wait for Intercom, which may take its time, and an
# uninstall notice must be answered meanwhile. As many users can come back from Intercom in the same seconds.
PAGE_THREADS = 8
PAGES = ("/connect", "/oauth/")


class HeldInbox:
    """The inbox of one request, whose answer the event loop holds back until the entry is safe."""

    __slots__ = ("_appender", "_arrived", "entry")

    def __init__(self, appender: Appender, arrived: float) -> None:
        self._appender = appender
        self._arrived = arrived
        self.entry: asyncio.Future[str] | None = None

    def append(self, body: bytes) -> None:
        """Append; `entry` tells when it is safe."""
        self.entry = self._appender.append(body, time.time(), self._arrived + RESPONSE_SECONDS)

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""
        count(self._appender.pending_counts, name, 1, **labels)


class Server:
    """What granian calls in each of its worker processes."""

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set up this process: settings, logs, the application, the way into the inbox."""
        logs.configure("web")
        sys.setswitchinterval(SWITCH_SECONDS)
        self._loop = loop
        self._max_body_bytes = get_settings().max_body_bytes
        self._application = create_app().wsgi_app
        self._large_bytes = 0
        self._appender = loop.run_until_complete(open_appender())
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="web")
        self._pages = ThreadPoolExecutor(PAGE_THREADS, thread_name_prefix="pages")
        self._readers = Readers(loop)
        self._acting = Acting(self._application, loop)
        self._watch = loop.create_task(_stop_when_orphaned())

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let what waits reach Redis before the process ends."""
        loop.run_until_complete(self._appender.close())

    async def __rsgi__(self, scope: "Scope", protocol: "HTTPProtocol") -> None:
        """Answer one request."""
        try:
            environ = wsgi_bridge.environ_of(scope)
            if environ["PATH_INFO"].startswith(PREFIX):
                await self._acting.answer(environ, protocol)
                return
            answer = await self._answer(environ, protocol)
        except Exception as error:  # noqa: BLE001 -- a mistake of ours is a 503 here too, where granian would say 500
            log.error("mistake in the server", error=place_of(error))  # noqa: TRY400 -- messages may hold the body
            answer = Answer(HTTPStatus.SERVICE_UNAVAILABLE, [("Retry-After", str(RETRY_AFTER_SECONDS))], b"")
        protocol.response_bytes(*answer)

    async def _answer(self, environ: "WSGIEnvironment", protocol: "HTTPProtocol") -> Answer:
        arrived = self._loop.time()
        await self._read_body(environ, protocol)
        if environ["PATH_INFO"] == PATH:
            return await self._receive(environ, arrived)
        if environ["PATH_INFO"] == ALIVE_PATH:
            # It must answer also while all threads wait for a database that hangs.
            return wsgi_bridge.run(self._application, environ)
        pool = self._pages if environ["PATH_INFO"].startswith(PAGES) else self._pool
        return await self._loop.run_in_executor(pool, wsgi_bridge.run, self._application, environ)

    async def _read_body(self, environ: "WSGIEnvironment", protocol: "HTTPProtocol") -> None:
        # What is not read here is judged by the view, from Content-Length.
        length = announced_length(environ) or 0
        if not 0 < length <= self._max_body_bytes:
            return
        if length <= SMALL_BODY_BYTES:
            environ["wsgi.input"] = io.BytesIO(await self._readers.read(protocol))
        elif self._large_bytes + length <= MAX_LARGE_BYTES:
            self._large_bytes += length
            try:
                environ["wsgi.input"] = io.BytesIO(await self._readers.read(protocol))
            finally:
                self._large_bytes -= length
        else:
            environ["wsgi.input"] = _NoRoom()

    async def _receive(self, environ: "WSGIEnvironment", arrived: float) -> Answer:
        inbox = environ[INBOX_KEY] = HeldInbox(self._appender, arrived)
        answer = wsgi_bridge.run(self._application, environ)
        if inbox.entry is None:
            return answer
        try:
            await inbox.entry
        except InboxRefusedError as error:
            return wsgi_bridge.run(refused_by_inbox(error, inbox), environ)
        return answer


class _NoRoom(io.BytesIO):
    def read(self, _size: int | None = -1) -> bytes:
        sentence = "Too many large bodies arrive at the moment. Send it again."
        raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "no_room", sentence, RETRY_AFTER_SECONDS)


async def _stop_when_orphaned() -> None:
    # If the process that watches over this one is killed, a new one cannot know that the port is still served.
    parent = os.getppid()
    while True:
        await asyncio.sleep(PARENT_SECONDS)
        if os.getppid() != parent:
            # The signal first: the log may have gone with the parent.
            signal.raise_signal(signal.SIGTERM)
            log.error("the parent process is gone; this one stops too")
            return


server = Server()
