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
from webhooks.api.problems import api, register_fallback_handler
from webhooks.api.sdk_and_docs import sdk_and_docs
from webhooks.connect.views import connect
from webhooks.intercom.notifications import PATH, notifications, receive
from webhooks.intercom.uninstall import uninstall
from webhooks.operations.health import health
from webhooks.operations.metrics import metrics

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment


class Application(Flask):
    """Flask, with a short cut to the view for notifications."""

    def wsgi_app(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        """
        Handle a request; see Flask.

        A notification is passed directly to the function behind its view. Routing, contexts, signals and the session,
        which it does not use, would take a quarter of the web process's time for it.
        """
        if environ["PATH_INFO"] == PATH and environ["REQUEST_METHOD"] == "POST":
            return receive(environ)(environ, start_response)
        return super().wsgi_app(environ, start_response)


def create_app() -> Flask:
    """Create the application; opens no connections."""
    app = Application("intercom_mirror", static_folder=None)
    for blueprint in (notifications, uninstall, connect, api, sdk_and_docs, health, metrics):
        app.register_blueprint(blueprint)
    register_fallback_handler(app)
    return app
