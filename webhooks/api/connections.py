"""GET /api/connections: the first thing that an application needs to know."""

from collections.abc import Mapping
from typing import Any

from flask import Response

from settings import get_settings
from webhooks.api import auth
from webhooks.api.problems import api, json_response


@api.get("/connections")
def connections() -> Response:
    """
    List the caller's connections, the newest first; for the operator alone, every connected workspace.

    The response has `connections`, objects with `workspace_id`, `name`, `region` and `status` (connected or
    disconnected), and `connect_url`, where a user connects.
    """
    from workers.connections import registry  # noqa: PLC0415 -- it loads SQL; receiving does not need it

    caller = auth.authenticate()
    if caller.user_id is None:
        listed = [{**_view(each._asdict()), "status": "connected"} for each in registry.connected_workspaces()]
    else:
        listed = [{**_view(row), "status": row["status"]} for row in registry.connections_of_user(caller.user_id)]
    return json_response({"connections": listed, "connect_url": f"{get_settings().public_url}/connect"})


def _view(row: Mapping[Any, Any]) -> dict[str, str | None]:
    return {name: row[name] for name in ("workspace_id", "name", "region")}
