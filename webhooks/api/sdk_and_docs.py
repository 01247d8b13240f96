"""What programs and their authors are given: the browser's SDK, the description of /api, and a page of it."""

from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, make_response, render_template, request

from webhooks.connect.pages import guarded

clients = Blueprint("clients", __name__, template_folder="templates")

_STATIC = Path(__file__).parent / "static"


@clients.get("/sdk.js")
def sdk() -> Response:
    """Give the SDK, a module."""
    return _file("sdk.js", "text/javascript")


@clients.get("/sdk.d.ts")
def sdk_types() -> Response:
    """Give its types."""
    return _file("sdk.d.ts", "application/typescript")


@clients.get("/openapi.json")
def openapi() -> Response:
    """Describe /api for programs."""
    return jsonify(_described().document())


@clients.get("/docs")
def docs() -> Response:
    """Describe it for people."""
    return guarded(make_response(render_template("api/docs.html", operations=_described().operations())))


def _described() -> Any:
    # It loads the actions and SQL with them, which a process that only receives does without.
    from webhooks.api import openapi as described  # noqa: PLC0415

    return described


def _file(name: str, media_type: str) -> Response:
    response = Response((_STATIC / name).read_bytes(), mimetype=media_type)
    response.add_etag()
    # Asked for each time, and sent if it is another one: it must fit the mirror.
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.make_conditional(request)
    return response
