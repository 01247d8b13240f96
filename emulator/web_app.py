"""The emulator's page, and the API through which others ask it for the truth."""

from dataclasses import asdict
from typing import Any

from flask import Flask, abort, render_template, request

from emulator import manual_actions, page_security, page_state
from emulator.api.api_middleware import ApiMiddleware
from emulator.api.http_server import EmulatorServer
from emulator.api.intercom_emulator import IntercomEmulator
from emulator.api.workspace_api import WorkspaceApi
from emulator.emulated_notification import EmulatedNotification, ping
from emulator.errors import RefusedError, UnknownObjectError
from emulator.simulation import Simulation

# The page shows personal data, even if it is invented, and can be written to: it is for this machine only.
HOST = "127.0.0.1"
# A page posts a few hundred bytes.
_LONGEST_BODY = 100_000

Answer = tuple[dict[str, Any], int]


def create_app(engine: Simulation, intercom: IntercomEmulator | None = None) -> Flask:
    """
    Make the Flask application.

    `GET /` is the page. `GET /truth/{workspace}` is the whole true content, `GET /truth/{workspace}/{type}/{id}` what a
    GET by id would find (see `Workspace.truth` and `fetch`), `GET /truth/{workspace}/messages` what was sent to
    contacts; `POST /control` changes what runs (`Engine.control`), `POST /api-quirks` how the API behaves (`Quirks`),
    `POST /api-uninstall/{workspace}` removes the app. Under `/page` is what the page itself calls, under `/us`, `/eu`
    and `/au` Intercom's API.

    Args:
        engine: of the workspace that the page shows.
        intercom: the API, if it has more workspaces than that one.
    """
    app = Flask(__name__)
    app.config["MAX_CONTENT_LENGTH"] = _LONGEST_BODY
    page_security.protect(app)
    app.register_error_handler(RefusedError, lambda error: ({"error": str(error)}, 409))
    app.register_error_handler(UnknownObjectError, lambda error: ({"error": str(error)}, 404))
    intercom = intercom or IntercomEmulator([engine])
    _add_truth(app, intercom)
    _add_switches(app, engine, intercom)
    _add_page(app, engine)
    app.wsgi_app = ApiMiddleware(intercom, app.wsgi_app)  # type: ignore[method-assign]
    return app


def _add_truth(app: Flask, intercom: IntercomEmulator) -> None:
    def truth(workspace_id: str) -> dict[str, Any]:
        """Answer with the whole content."""
        tenant = _tenant(intercom, workspace_id)
        with tenant.simulation.lock:
            return tenant.workspace.truth()

    def fetch(workspace_id: str, object_type: str, object_id: str) -> dict[str, Any]:
        """Answer what a GET by id would find."""
        tenant = _tenant(intercom, workspace_id)
        with tenant.simulation.lock:
            return tenant.workspace.fetch(object_type, object_id)

    def messages(workspace_id: str) -> dict[str, Any]:
        """Answer which messages were sent."""
        tenant = _tenant(intercom, workspace_id)
        with tenant.simulation.lock:
            return {"messages": [asdict(message) for message in tenant.messages]}

    app.add_url_rule("/truth/<workspace_id>", view_func=truth)
    app.add_url_rule("/truth/<workspace_id>/messages", view_func=messages)
    app.add_url_rule(
        "/truth/<workspace_id>/<any(contact, company, tag, segment):object_type>/<object_id>", view_func=fetch
    )


def _add_switches(app: Flask, engine: Simulation, intercom: IntercomEmulator) -> None:
    def quirks() -> dict[str, Any]:
        """Show the quirks, or change some of them."""
        if request.method == "POST":
            intercom.change(page_security.body())
        return asdict(intercom.switches)

    def uninstall(workspace_id: str) -> Answer:
        """Remove the app from a workspace, as its admin would."""
        intercom.oauth.uninstall(_tenant(intercom, workspace_id))
        return {}, 200

    app.add_url_rule("/control", view_func=engine.settings, endpoint="settings")
    app.add_url_rule(
        "/control", view_func=lambda: engine.control(page_security.body()), methods=["POST"], endpoint="control"
    )
    app.add_url_rule("/api-quirks", view_func=quirks, methods=["GET", "POST"])
    app.add_url_rule("/api-uninstall/<workspace_id>", view_func=uninstall, methods=["POST"])


def _tenant(intercom: IntercomEmulator, workspace_id: str) -> WorkspaceApi:
    if workspace_id not in intercom.workspace_apis:
        abort(404)
    return intercom.workspace_apis[workspace_id]


def _add_page(app: Flask, engine: Simulation) -> None:
    def create(kind: str) -> Answer:
        """Create an object by hand."""
        values = page_security.body()
        values = (
            manual_actions.company_values(values, new=True)
            if kind == "company"
            else manual_actions.contact_values(values)
        )
        return _told(engine.act(lambda workspace: manual_actions.create(workspace, kind, values)))

    def update(object_type: str, object_id: str) -> Answer:
        """Change an object by hand."""
        values = page_security.body()
        if object_type == "contact":
            changes = manual_actions.contact_values(values)
            return _told(engine.act(lambda workspace: workspace.update_contact(object_id, changes)))
        changes = manual_actions.company_values(values, new=False)
        return _told(engine.act(lambda workspace: workspace.update_company(object_id, changes)))

    def act(object_type: str, object_id: str, action: str) -> Answer:
        """Do something to an object by hand."""
        other = str(page_security.body().get("other", ""))
        return _told(engine.act(lambda workspace: manual_actions.act(workspace, object_type, object_id, action, other)))

    def send_ping() -> Answer:
        """Send a ping."""
        return _told(engine.act(lambda workspace: [ping(workspace.workspace_id, workspace.now() // 1000)]))

    def state() -> dict[str, Any]:
        """Answer what the page shows."""
        return page_state.state(engine, request.args.get("search", ""))

    app.add_url_rule("/", view_func=lambda: render_template("page.html"), endpoint="page")
    app.add_url_rule("/page/state", view_func=state)
    app.add_url_rule("/page/ping", view_func=send_ping, methods=["POST"])
    app.add_url_rule("/page/new/<kind>", view_func=create, methods=["POST"])
    one = "/page/<any(contact, company):object_type>/<object_id>"
    app.add_url_rule(one, view_func=update, methods=["POST"])
    app.add_url_rule(f"{one}/<action>", view_func=act, methods=["POST"])


def _told(told: list[EmulatedNotification]) -> Answer:
    return {"told": [{"id": notification.id, "topic": notification.topic} for notification in told]}, 200


def make_emulator_server(engine: Simulation, port: int, intercom: IntercomEmulator | None = None) -> EmulatorServer:
    """Return a threaded server on this machine's loopback address; port 0 takes a free one."""
    return EmulatorServer(HOST, port, create_app(engine, intercom))
