"""The event loop's side of /api: request bodies, thread pools, and responses that are forwarded while they arrive."""

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog

from webhooks.serving import wsgi_bridge
from webhooks.serving.bounded_pool import BoundedPool, FullError
from webhooks.serving.request_body import BodyReader, declared_length
from webhooks.serving.responses import error_location
from webhooks.serving.wsgi_bridge import AFTER_RESPONSE_KEY, BufferedResponse, StreamedResponse

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol

log = structlog.get_logger()

PREFIX = "/api/"
# Readers of the change feed wait here for up to half a minute each.
CHANGES_PATH = "/api/changes"

# Threads for calls to Intercom: with 200 ms a call, 32 of them make 160 calls a second, about what Intercom allows an
# app. As many more may wait: the last of them for a fifth of a second.
CALL_THREADS = 32
CALLS_WAITING = 32
# Readers that wait on the change feed at the same time; a waiting thread takes some tens of kilobytes.
FEED_THREADS = 64
FEED_WAITING = 16

# Downloads that are forwarded at the same time; a thread is held for one chunk of one of them.
STREAM_THREADS = 8
STREAMS_WAITING = CALL_THREADS + CALLS_WAITING

# Threads for the work after a response: half a millisecond with Redis for each call. They are separate from those of
# the calls, which may all be waiting for a rate-limit slot that only becomes known through this work.
AFTER_RESPONSE_THREADS = 2

# Bytes of one body, see `webhooks.api.proxy`, and of all bodies that are arriving. Bodies of notifications are counted
# separately.
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_ARRIVING_BYTES = 64 * 1024 * 1024
# Seconds for a body to arrive: four megabytes over a slow connection.
BODY_SECONDS = 15.0

# Seconds after which a client that was refused because the pool is full may try again.
RETRY_AFTER = "1"


class ApiLoop:
    """Handles requests under /api."""

    def __init__(self, application: "WSGIApplication", loop: asyncio.AbstractEventLoop) -> None:
        self._application = application
        self._body_reader = BodyReader(loop, BODY_SECONDS)
        self._call_pool = BoundedPool("api", CALL_THREADS, CALLS_WAITING)
        self._feed_pool = BoundedPool("feed", FEED_THREADS, FEED_WAITING)
        self._stream_pool = BoundedPool("stream", STREAM_THREADS, STREAMS_WAITING)
        self._after_response_pool = ThreadPoolExecutor(AFTER_RESPONSE_THREADS, thread_name_prefix="after")
        self._arriving_bytes = 0

    async def handle(self, environ: "WSGIEnvironment", protocol: "HTTPProtocol") -> None:
        """
        Handle one request.

        1. Read its body, within limits of time and memory.
        2. Run Flask in a thread: of the feed's pool for the change feed, of the call pool otherwise.
        3. Send the response; forward a streamed one chunk by chunk.
        4. Hand the work that the view left for later to the threads for it.
        """
        pool = self._feed_pool if environ["PATH_INFO"] == CHANGES_PATH else self._call_pool
        after_response: list[Callable[[], object]] = []
        environ[AFTER_RESPONSE_KEY] = after_response
        try:
            await self._read_body(environ, protocol)
            response = await pool.run(partial(wsgi_bridge.begin, self._application, environ))
            if isinstance(response, BufferedResponse):
                protocol.response_bytes(*response)
            else:
                await _forward(response, self._stream_pool, protocol)
        except FullError:
            protocol.response_bytes(*_BUSY)
        finally:
            for work in after_response:
                self._after_response_pool.submit(work)

    async def _read_body(self, environ: "WSGIEnvironment", protocol: "HTTPProtocol") -> None:
        # A body that is not read here is refused by the view, because of its Content-Length.
        length = declared_length(environ) or 0
        if not 0 < length <= MAX_BODY_BYTES:
            return
        if self._arriving_bytes + length > MAX_ARRIVING_BYTES:
            raise FullError
        self._arriving_bytes += length
        try:
            environ["wsgi.input"] = io.BytesIO(await self._body_reader.read(protocol))
        finally:
            self._arriving_bytes -= length


async def _forward(response: StreamedResponse, pool: BoundedPool, protocol: "HTTPProtocol") -> None:
    """Forward a response chunk by chunk. A truncated one is shorter than declared, so the client can detect it."""
    try:
        transport: Any = protocol.response_stream(response.status, response.headers)
        while (chunk := await pool.run(partial(next, response.body, None))) is not None:
            await transport.send_bytes(chunk)
    except Exception as error:  # noqa: BLE001 -- the headers are sent already, so no other response is possible
        log.warning("a streamed response was truncated", error=error_location(error))
    finally:
        response.close()


_BUSY = BufferedResponse(
    HTTPStatus.SERVICE_UNAVAILABLE,
    [("Content-Type", "application/problem+json"), ("Retry-After", RETRY_AFTER), ("Cache-Control", "no-store")],
    b'{"type":"urn:intercom-mirror:problem:busy","title":"The mirror is busy","status":503,'
    b'"detail":"Too many requests are waiting. Try again in a second.","retry_after":1}',
)
