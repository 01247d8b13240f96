"""
Reads request bodies: in the event loop within a time limit, then in the view at their declared length.

BodyReader gives up on bodies that arrive too slowly. `read_whole_body` refuses what is too large, encoded, truncated,
or of unknown length.
"""

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

from webhooks.serving.responses import RefusalError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment
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


def declared_length(environ: "WSGIEnvironment") -> int | None:
    """Return Content-Length; None if it is absent, -1 if it is not a number."""
    text = environ.get("CONTENT_LENGTH") or None
    if text is None:
        return None
    # isdigit() alone accepts digits of other scripts, and int() accepts signs, spaces and underscores.
    return int(text) if text.isascii() and text.isdigit() else -1


def read_whole_body(environ: "WSGIEnvironment", max_bytes: int) -> bytes:
    """
    Return the body if exactly the declared bytes arrived.

    Raises:
        RefusalError: 411 without Content-Length, which includes chunked bodies; 413 above `max_bytes`; 415 for an
            encoded body; 400 if Content-Length is not a number or fewer bytes arrived.
    """
    length = declared_length(environ)
    if length is None or "HTTP_TRANSFER_ENCODING" in environ:
        raise RefusalError(
            HTTPStatus.LENGTH_REQUIRED, "length_missing", "Send a Content-Length; chunked bodies are not supported."
        )
    if length < 0:
        raise RefusalError(HTTPStatus.BAD_REQUEST, "length_unreadable", "Content-Length is not a number.")
    if length > max_bytes:
        raise RefusalError(
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"The body may have at most {max_bytes} bytes."
        )
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() not in ("", "identity"):
        raise RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "encoded", "Send the body without a Content-Encoding.")
    body: bytes = environ["wsgi.input"].read(length)
    if len(body) != length:
        raise RefusalError(
            HTTPStatus.BAD_REQUEST, "truncated", "Fewer bytes than Content-Length declares arrived in time."
        )
    return body
