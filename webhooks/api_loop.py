"""The event loop's side of /api: bodies, threads, and answers that are handed on while they arrive."""

import asyncio
import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import structlog

from webhooks.serving import wsgi_bridge
from webhooks.serving.body_reader import Readers
from webhooks.serving.bounded_pool import FullError, Room
from webhooks.serving.request_body import announced_length
from webhooks.serving.responses import place_of
from webhooks.serving.wsgi_bridge import AFTERWARDS_KEY, Answer, Stream

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication, WSGIEnvironment
    from granian._granian import RSGIHTTPProtocol as HTTPProtocol

log = structlog.get_logger()

PREFIX = "/api/"
# Readers of the feed wait here for changes, half a minute each.
FOLLOWING = "/api/changes"

# Threads for calls to Intercom: with 200 ms a call, 32 of them make 160 calls a second, about what Intercom allows an
# app. As many again may wait: the last of them for a fifth of a second.
CALL_THREADS = 32
CALLS_WAITING = 32
# Readers that follow the feed at the same time; a waiting thread costs some tens of kilobytes.
FOLLOW_THREADS = 64
FOLLOWERS_WAITING = 16

# Downloads that are handed on at the same time; a thread is held for one piece of one of them.
STREAM_THREADS = 8
STREAMS_WAITING = CALL_THREADS + CALLS_WAITING

# Threads for what is left to be done once an answer is on its way: half a millisecond with Redis for each call. Not
# those of the calls: they may all be waiting for an allowance that only becomes known by what is done here.
LATER_THREADS = 2

# Bytes of one body, see `webhooks.api.proxy`, and of all that are arriving: what notifications have is not touched.
LONGEST_BODY = 4 * 1024 * 1024
ARRIVING_BYTES = 64 * 1024 * 1024
# Seconds for a body to arrive: four megabytes over a slow line.
BODY_SECONDS = 15.0

# Seconds after which a caller who found no room may try again.
RETRY_AFTER = "1"


class Acting:
    """Answers requests under /api."""

    def __init__(self, application: "WSGIApplication", loop: asyncio.AbstractEventLoop) -> None:
        self._application = application
        self._readers = Readers(loop, BODY_SECONDS)
        self._calls = Room("api", CALL_THREADS, CALLS_WAITING)
        self._follows = Room("follow", FOLLOW_THREADS, FOLLOWERS_WAITING)
        self._streams = Room("stream", STREAM_THREADS, STREAMS_WAITING)
        self._later = ThreadPoolExecutor(LATER_THREADS, thread_name_prefix="later")
        self._arriving = 0

    async def answer(self, environ: "WSGIEnvironment", protocol: "HTTPProtocol") -> None:
        """Answer one request to its end."""
        room = self._follows if environ["PATH_INFO"] == FOLLOWING else self._calls
        afterwards: list[Callable[[], object]] = []
        environ[AFTERWARDS_KEY] = afterwards
        try:
            await self._read_body(environ, protocol)
            answer = await room.run(partial(wsgi_bridge.begin, self._application, environ))
            if isinstance(answer, Answer):
                protocol.response_bytes(*answer)
            else:
                await _stream(answer, self._streams, protocol)
        except FullError:
            protocol.response_bytes(*_FULL)
        finally:
            for work in afterwards:
                self._later.submit(work)

    async def _read_body(self, environ: "WSGIEnvironment", protocol: "HTTPProtocol") -> None:
        # What is not read here is judged by the view, from Content-Length.
        length = announced_length(environ) or 0
        if not 0 < length <= LONGEST_BODY:
            return
        if self._arriving + length > ARRIVING_BYTES:
            raise FullError
        self._arriving += length
        try:
            environ["wsgi.input"] = io.BytesIO(await self._readers.read(protocol))
        finally:
            self._arriving -= length


async def _stream(answer: Stream, room: Room, protocol: "HTTPProtocol") -> None:
    """Hand an answer on piece by piece. One that breaks off is shorter than announced, so that its reader sees it."""
    try:
        transport: Any = protocol.response_stream(answer.status, answer.headers)
        while (chunk := await room.run(partial(next, answer.body, None))) is not None:
            await transport.send_bytes(chunk)
    except Exception as error:  # noqa: BLE001 -- its head is gone already: nothing else can be answered any more
        log.warning("an answer broke off", error=place_of(error))
    finally:
        answer.close()


_FULL = Answer(
    HTTPStatus.SERVICE_UNAVAILABLE,
    [("Content-Type", "application/problem+json"), ("Retry-After", RETRY_AFTER), ("Cache-Control", "no-store")],
    b'{"type":"urn:intercom-mirror:problem:busy","title":"The mirror is busy","status":503,'
    b'"detail":"Too many calls wait at the moment. Ask again in a second.","retry_after":1}',
)
