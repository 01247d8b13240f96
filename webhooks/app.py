"""The Flask application."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from flask import Flask

# Importing these modules adds their routes to the blueprint `api`.
from webhooks.api import actions as _actions  # noqa: F401
from webhooks.api import changes as _changes  # noqa: F401
from webhooks.api import connections as _connections  # noqa: F401
from webhooks.api import cors as _cors  # noqa: F401
from webhooks.api import endpoints as _endpoints  # noqa: F401
from webhooks.api import proxy as _proxy  # noqa: F401
from webhooks.api.problems import api, guard_addresses
from webhooks.api.sdk_and_docs import clients
from webhooks.connect.views import connect
from webhooks.intercom.notifications import PATH, notifications, receive
from webhooks.intercom.uninstall import uninstall
from webhooks.operations.health import health
from webhooks.operations.metrics import metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Application(Flask):
    """Flask, with a short way to the view of a notification."""

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """
        Answer a request; see Flask.

        A notification goes straight to what its view calls. Routing, contexts, signals and a session that it does
        not use would be a quarter of all that the web process does for it.
        """
        if environ["PATH_INFO"] == PATH and environ["REQUEST_METHOD"] == "POST":
            return receive(environ)(environ, start_response)
        return super().wsgi_app(environ, start_response)


def create_app() -> Flask:
    """Build the application; opens no connection."""
    app = Application("intercom_mirror", static_folder=None)
    for blueprint in (notifications, uninstall, connect, api, clients, health, metrics):
        app.register_blueprint(blueprint)
    guard_addresses(app)
    return app
