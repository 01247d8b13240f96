"""What is connected: the first thing that an application asks."""

from collections.abc import Mapping
from typing import Any

from flask import Response, jsonify

from settings import get_settings
from webhooks.api import auth
from webhooks.api.problems import api


@api.get("/connections")
def connections() -> Response:
    """
    List the caller's connections, the newest first; for the operator alone every connected workspace.

    `connections`: objects with `workspace_id`, `name`, `region`, `status` (connected or disconnected); `connect_url`:
    where a user connects.
    """
    from workers.connections import registry as known  # noqa: PLC0415 -- it loads SQL; receiving does without

    asking = auth.caller()
    if asking.user_id is None:
        told = [{**_shown(found._asdict()), "status": "connected"} for found in known.connected_workspaces()]
    else:
        told = [{**_shown(row), "status": row["status"]} for row in known.connections_of_user(asking.user_id)]
    response = jsonify(connections=told, connect_url=f"{get_settings().public_url}/connect")
    response.headers["Cache-Control"] = "no-store"
    return response


def _shown(row: Mapping[Any, Any]) -> dict[str, str | None]:
    return {name: row[name] for name in ("workspace_id", "name", "region")}
