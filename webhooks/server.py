"""
The web server: granian calls `server` in the event loop of its worker process, through its RSGI interface.

`webhooks.process` starts it. Bodies are read in the event loop, with a time limit and a size limit, so that a slow or
half-open connection costs a few kilobytes and delays no other. A notification is then handled by Flask in the event
loop: that is a tenth of a millisecond of computing, and handing it to a thread would cost more. Its response is held
back until Redis has the entry on disk. Every other route may block, and runs in a small thread pool.

Measured with 16 connections, alternating on a busy machine: 0.24 ms of this process's CPU per notification, against
0.36 ms for the same application under granian's WSGI interface with 16 threads, which incomplete bodies can block.
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
from webhooks.api_loop import PREFIX, ApiLoop
from webhooks.app import create_app
from webhooks.intercom.notifications import INBOX_KEY, PATH, refused_by_inbox
from webhooks.operations.health import ALIVE_PATH
from webhooks.serving import wsgi_bridge
from webhooks.serving.request_body import BodyReader, declared_length
from webhooks.serving.responses import RefusalError, error_location
from webhooks.serving.wsgi_bridge import BufferedResponse
from workers.inbox.appender import RESPONSE_SECONDS, RETRY_AFTER_SECONDS, Appender, InboxRefusedError, open_appender
from workers.runtime.counters import count

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol
    from granian.rsgi import Scope

log = structlog.get_logger()

# Bodies larger than SMALL_BODY_BYTES share MAX_LARGE_BYTES while they arrive, so that many large or never-ending bodies
# can neither fill memory nor delay notifications, which have a few kilobytes.
SMALL_BODY_BYTES = 64 * 1024
MAX_LARGE_BYTES = 64 * 1024 * 1024

# Seconds between checks whether the parent process is still running.
PARENT_SECONDS = 1.0

# Seconds that a thread may hold the interpreter while others wait for it. A proxied call waits for it after each of its
# four responses from SQL, Redis and Intercom: with Python's default of 5 ms a call took 7.4 ms longer than a direct
# one, with this 3.2 ms (two busy cores). A notification is handled in one go, and is not affected.
SWITCH_SECONDS = 0.0002

# Threads for the routes that wait for Redis or SQL: a few probes, scrapers and uninstall callbacks at a time.
POOL_THREADS = 4

# Threads for the connect pages, separate from those: some of them wait for Intercom, and an uninstall callback must be
# answered meanwhile. This many users can return from Intercom in the same seconds.
PAGE_THREADS = 8
PAGES = ("/connect", "/oauth/")


class DeferredInbox:
    """The inbox of one request, whose response the event loop holds back until the entry is on disk."""

    __slots__ = ("_appender", "_arrived", "entry")

    def __init__(self, appender: Appender, arrived: float) -> None:
        self._appender = appender
        self._arrived = arrived
        self.entry: asyncio.Future[str] | None = None

    def append(self, body: bytes) -> None:
        """Append; `entry` is done when the entry is on disk."""
        self.entry = self._appender.append(body, time.time(), self._arrived + RESPONSE_SECONDS)

    def count(self, name: str, **labels: str) -> None:
        """Add one to a counter."""
        count(self._appender.pending_counts, name, 1, **labels)


class Server:
    """What granian calls in each of its worker processes."""

    def __rsgi_init__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Set up this process: settings, logs, application, inbox."""
        logs.configure("web")
        sys.setswitchinterval(SWITCH_SECONDS)
        self._loop = loop
        self._max_body_bytes = get_settings().max_body_bytes
        self._application = create_app().wsgi_app
        self._large_bytes = 0
        self._appender = loop.run_until_complete(open_appender())
        self._pool = ThreadPoolExecutor(POOL_THREADS, thread_name_prefix="web")
        self._page_pool = ThreadPoolExecutor(PAGE_THREADS, thread_name_prefix="pages")
        self._body_reader = BodyReader(loop)
        self._api_loop = ApiLoop(self._application, loop)
        self._orphan_check = loop.create_task(_stop_when_orphaned())

    def __rsgi_del__(self, loop: asyncio.AbstractEventLoop) -> None:
        """Append what is still waiting before the process exits."""
        loop.run_until_complete(self._appender.close())

    async def __rsgi__(self, scope: "Scope", protocol: "HTTPProtocol") -> None:
        """Handle one request."""
        try:
            environ = wsgi_bridge.build_environ(scope)
            if environ["PATH_INFO"].startswith(PREFIX):
                await self._api_loop.handle(environ, protocol)
                return
            response = await self._handle(environ, protocol)
        except Exception as error:  # noqa: BLE001 -- a bug must cause a 503 here too, where granian would send a 500
            log.error("unexpected error in the server", error=error_location(error))  # noqa: TRY400 -- it may quote the body
            headers = [("Retry-After", str(RETRY_AFTER_SECONDS))]
            response = BufferedResponse(HTTPStatus.SERVICE_UNAVAILABLE, headers, b"")
        protocol.response_bytes(*response)

    async def _handle(self, environ: "WSGIEnvironment", protocol: "HTTPProtocol") -> BufferedResponse:
        arrived = self._loop.time()
        await self._read_body(environ, protocol)
        if environ["PATH_INFO"] == PATH:
            return await self._receive(environ, arrived)
        if environ["PATH_INFO"] == ALIVE_PATH:
            # It must respond even while all threads wait for a database that hangs.
            return wsgi_bridge.run(self._application, environ)
        pool = self._page_pool if environ["PATH_INFO"].startswith(PAGES) else self._pool
        return await self._loop.run_in_executor(pool, wsgi_bridge.run, self._application, environ)

    async def _read_body(self, environ: "WSGIEnvironment", protocol: "HTTPProtocol") -> None:
        # A body that is not read here is refused by the view, because of its Content-Length.
        length = declared_length(environ) or 0
        if not 0 < length <= self._max_body_bytes:
            return
        if length <= SMALL_BODY_BYTES:
            environ["wsgi.input"] = io.BytesIO(await self._body_reader.read(protocol))
        elif self._large_bytes + length <= MAX_LARGE_BYTES:
            self._large_bytes += length
            try:
                environ["wsgi.input"] = io.BytesIO(await self._body_reader.read(protocol))
            finally:
                self._large_bytes -= length
        else:
            environ["wsgi.input"] = _TooManyLargeBodies()

    async def _receive(self, environ: "WSGIEnvironment", arrived: float) -> BufferedResponse:
        inbox = environ[INBOX_KEY] = DeferredInbox(self._appender, arrived)
        response = wsgi_bridge.run(self._application, environ)
        if inbox.entry is None:
            return response
        try:
            await inbox.entry
        except InboxRefusedError as error:
            return wsgi_bridge.run(refused_by_inbox(error, inbox), environ)
        return response


class _TooManyLargeBodies(io.BytesIO):
    def read(self, _size: int | None = -1) -> bytes:
        message = "Too many large bodies are arriving. Send it again."
        raise RefusalError(HTTPStatus.SERVICE_UNAVAILABLE, "no_room", message, RETRY_AFTER_SECONDS)


async def _stop_when_orphaned() -> None:
    # If the supervising process is killed, its successor cannot know that this one still serves the port.
    parent = os.getppid()
    while True:
        await asyncio.sleep(PARENT_SECONDS)
        if os.getppid() != parent:
            # The signal first: the log may be closed together with the parent.
            signal.raise_signal(signal.SIGTERM)
            log.error("the parent process has exited; stopping")
            return


server = Server()
