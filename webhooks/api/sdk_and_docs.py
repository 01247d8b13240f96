"""The browser SDK, the OpenAPI document of /api, and its documentation page."""

from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, make_response, render_template, request

from webhooks.connect.page_rendering import guarded

sdk_and_docs = Blueprint("sdk_and_docs", __name__, template_folder="templates")

_STATIC = Path(__file__).parent / "static"


@sdk_and_docs.get("/sdk.js")
def sdk() -> Response:
    """Return the SDK, a JavaScript module."""
    return _file("sdk.js", "text/javascript")


@sdk_and_docs.get("/sdk.d.ts")
def sdk_types() -> Response:
    """Return the types of the SDK."""
    return _file("sdk.d.ts", "application/typescript")


@sdk_and_docs.get("/openapi.json")
def openapi() -> Response:
    """Return the OpenAPI document."""
    return jsonify(_openapi().document())


@sdk_and_docs.get("/docs")
def docs() -> Response:
    """Render the documentation page."""
    return guarded(make_response(render_template("api/docs.html", operations=_openapi().operations())))


def _openapi() -> Any:
    # It loads the actions, and SQL with them, which a process that only receives notifications does not need.
    from webhooks.api import openapi  # noqa: PLC0415

    return openapi


def _file(name: str, media_type: str) -> Response:
    response = Response((_STATIC / name).read_bytes(), mimetype=media_type)
    response.add_etag()
    # The browser revalidates it each time: the SDK must match the version of the mirror.
    response.headers["Cache-Control"] = "no-cache"
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.make_conditional(request)
    return response
