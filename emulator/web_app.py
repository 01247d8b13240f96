"""The emulator's web application: its page, the true content of the workspaces, and the switches."""

from dataclasses import asdict
from typing import Any

from flask import Flask, abort, render_template, request

from emulator import manual_actions
from emulator.api.api_middleware import ApiMiddleware
from emulator.api.http_server import EmulatorServer
from emulator.api.intercom_emulator import IntercomEmulator
from emulator.api.workspace_api import WorkspaceApi
from emulator.emulated_notification import EmulatedNotification, ping
from emulator.errors import RefusedError, UnknownObjectError
from emulator.page_security import json_body, protect
from emulator.page_state import page_state
from emulator.simulation import Simulation
from intercom_api.wire.times import MS_PER_SECOND

# Only this machine: the page shows personal data, even though it is invented, and it has no login.
HOST = "127.0.0.1"
# Bytes; the page posts a few hundred.
_LONGEST_BODY = 100_000

JsonResponse = tuple[dict[str, Any], int]


def create_app(simulation: Simulation, intercom: IntercomEmulator | None = None) -> Flask:
    """
    Create the Flask application.

    - `GET /`: the page; under `/page` is what the page itself requests.
    - `GET /truth/{workspace}`: the complete content (`EmulatedWorkspace.truth`).
    - `GET /truth/{workspace}/{type}/{id}`: the result of a GET by id (`EmulatedWorkspace.fetch`).
    - `GET /truth/{workspace}/messages`: the messages that were sent to contacts.
    - `GET` and `POST /control`: the activity and the network faults (`Simulation.control`).
    - `GET` and `POST /api-quirks`: the behaviour of the API (`BehaviourSwitches`).
    - `POST /api-uninstall/{workspace}`: remove the app from a workspace.
    - `/us`, `/eu`, `/au`: Intercom's API.

    Args:
        simulation: the workspace that the page shows.
        intercom: the API; None: an API with only this workspace.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = _LONGEST_BODY
    protect(app)
    app.register_error_handler(RefusedError, lambda error: ({"error": str(error)}, 409))
    app.register_error_handler(UnknownObjectError, lambda error: ({"error": str(error)}, 404))
    intercom = intercom or IntercomEmulator([simulation])
    _add_truth_routes(app, intercom)
    _add_switch_routes(app, simulation, intercom)
    _add_page_routes(app, simulation)
    app.wsgi_app = ApiMiddleware(intercom, app.wsgi_app)  # type: ignore[method-assign]
    return app


def _add_truth_routes(app: Flask, intercom: IntercomEmulator) -> None:
    def truth(workspace_id: str) -> dict[str, Any]:
        """Return the complete content of a workspace."""
        api = _workspace_api(intercom, workspace_id)
        with api.simulation.lock:
            return api.workspace.truth()

    def fetch(workspace_id: str, object_type: str, object_id: str) -> dict[str, Any]:
        """Return the result of a GET by id."""
        api = _workspace_api(intercom, workspace_id)
        with api.simulation.lock:
            return api.workspace.fetch(object_type, object_id)

    def messages(workspace_id: str) -> dict[str, Any]:
        """Return the messages that were sent to contacts."""
        api = _workspace_api(intercom, workspace_id)
        with api.simulation.lock:
            return {"messages": [asdict(message) for message in api.messages]}

    app.add_url_rule("/truth/<workspace_id>", view_func=truth)
    app.add_url_rule("/truth/<workspace_id>/messages", view_func=messages)
    app.add_url_rule(
        "/truth/<workspace_id>/<any(contact, company, tag, segment):object_type>/<object_id>", view_func=fetch
    )


def _add_switch_routes(app: Flask, simulation: Simulation, intercom: IntercomEmulator) -> None:
    def switches() -> dict[str, Any]:
        """Return the behaviour switches, after changing some of them if the method is POST."""
        if request.method == "POST":
            intercom.change(json_body())
        return asdict(intercom.switches)

    def control() -> dict[str, Any]:
        """Change the activity and the network faults."""
        return simulation.control(json_body())

    def uninstall(workspace_id: str) -> JsonResponse:
        """Remove the app from a workspace, as an admin of the workspace does."""
        intercom.oauth.uninstall(_workspace_api(intercom, workspace_id))
        return {}, 200

    app.add_url_rule("/control", view_func=simulation.settings, endpoint="settings")
    app.add_url_rule("/control", view_func=control, methods=["POST"])
    app.add_url_rule("/api-quirks", view_func=switches, methods=["GET", "POST"])
    app.add_url_rule("/api-uninstall/<workspace_id>", view_func=uninstall, methods=["POST"])


def _workspace_api(intercom: IntercomEmulator, workspace_id: str) -> WorkspaceApi:
    if workspace_id not in intercom.workspace_apis:
        abort(404)
    return intercom.workspace_apis[workspace_id]


def _add_page_routes(app: Flask, simulation: Simulation) -> None:
    def create(kind: str) -> JsonResponse:
        """Create an object."""
        body = json_body()
        is_company = kind == "company"
        values = manual_actions.company_values(body, new=True) if is_company else manual_actions.contact_values(body)
        return _notified(simulation.act(lambda workspace: manual_actions.create(workspace, kind, values)))

    def update(object_type: str, object_id: str) -> JsonResponse:
        """Set fields of an object."""
        values = json_body()
        if object_type == "contact":
            values = manual_actions.contact_values(values)
            return _notified(simulation.act(lambda workspace: workspace.update_contact(object_id, values)))
        values = manual_actions.company_values(values, new=False)
        return _notified(simulation.act(lambda workspace: workspace.update_company(object_id, values)))

    def act(object_type: str, object_id: str, action: str) -> JsonResponse:
        """Run a named action."""
        other = str(json_body().get("other", ""))
        return _notified(
            simulation.act(lambda workspace: manual_actions.act(workspace, object_type, object_id, action, other))
        )

    def send_ping() -> JsonResponse:
        """Send a ping."""
        return _notified(
            simulation.act(lambda workspace: [ping(workspace.workspace_id, workspace.now() // MS_PER_SECOND)])
        )

    def state() -> dict[str, Any]:
        """Return the data of the page."""
        return page_state(simulation, request.args.get("search", ""))

    app.add_url_rule("/", view_func=lambda: render_template("page.html"), endpoint="page")
    app.add_url_rule("/page/state", view_func=state)
    app.add_url_rule("/page/ping", view_func=send_ping, methods=["POST"])
    app.add_url_rule("/page/new/<kind>", view_func=create, methods=["POST"])
    one_object = "/page/<any(contact, company):object_type>/<object_id>"
    app.add_url_rule(one_object, view_func=update, methods=["POST"])
    app.add_url_rule(f"{one_object}/<action>", view_func=act, methods=["POST"])


def _notified(notifications: list[EmulatedNotification]) -> JsonResponse:
    return {"told": [{"id": each.id, "topic": each.topic} for each in notifications]}, 200


def make_emulator_server(simulation: Simulation, port: int, intercom: IntercomEmulator | None = None) -> EmulatorServer:
    """Make a threaded server on this machine's loopback address; port 0 chooses a free port."""
    return EmulatorServer(HOST, port, create_app(simulation, intercom))
