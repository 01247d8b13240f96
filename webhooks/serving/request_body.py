"""Reads a request's body completely, or refuses the request with the reason."""

from http import HTTPStatus
from typing import TYPE_CHECKING

from webhooks.serving.responses import RefusalError

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment


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
