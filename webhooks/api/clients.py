"""What programs of the application are given: the browser's SDK and its types."""

from pathlib import Path

from flask import Blueprint, Response, request

clients = Blueprint("clients", __name__)

_STATIC = Path(__file__).parent / "static"


@clients.get("/sdk.js")
def sdk() -> Response:
    """Give the SDK, a module."""
    return _file("sdk.js", "text/javascript")


@clients.get("/sdk.d.ts")
def sdk_types() -> Response:
    """Give its types."""
    return _file("sdk.d.ts", "application/typescript")


def _file(name: str, media_type: str) -> Response:
    response = Response((_STATIC / name).read_bytes(), mimetype=media_type)
    response.add_etag()
    # Asked for each time, and sent if it is another one: it must fit the mirror.
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.make_conditional(request)
    return response
