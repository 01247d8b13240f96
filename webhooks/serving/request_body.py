"""Reading a request's body whole, or saying why not."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from webhooks.serving.responses import RefusalError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


def announced_length(environ: "WSGIEnvironment") -> int | None:
    """Return Content-Length; None if it is absent, and -1 if it is not a number."""
    text = environ.get("CONTENT_LENGTH") or None
    if text is None:
        return None
    # isdigit() alone takes digits of other scripts, and int() takes signs, spaces and underscores.
    return int(text) if text.isascii() and text.isdigit() else -1


def read_whole_body(environ: "WSGIEnvironment", max_bytes: int) -> bytes:
    """
    Return the body, of which every announced byte has arrived and no more.

    Raises:
        RefusalError: 411 without Content-Length, which is also what a chunked body has; 413 above `max_bytes`; 415 for
            an encoded body; 400 when the length is no number or fewer bytes arrived.
    """
    length = announced_length(environ)
    if length is None or "HTTP_TRANSFER_ENCODING" in environ:
        raise RefusalError(HTTPStatus.LENGTH_REQUIRED, "length_missing", "Send a Content-Length, and no chunks.")
    if length < 0:
        raise RefusalError(HTTPStatus.BAD_REQUEST, "length_unreadable", "Content-Length is not a number.")
    if length > max_bytes:
        raise RefusalError(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", f"A body may have {max_bytes} bytes.")
    if environ.get("HTTP_CONTENT_ENCODING", "identity").strip().lower() not in ("", "identity"):
        raise RefusalError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "encoded", "Send the body without a Content-Encoding.")
    body: bytes = environ["wsgi.input"].read(length)
    if len(body) != length:
        raise RefusalError(
            HTTPStatus.BAD_REQUEST, "truncated", "Fewer bytes arrived in time than Content-Length announced."
        )
    return body
