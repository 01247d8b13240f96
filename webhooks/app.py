"""The Flask application."""

from functools import cached_property

from flask import Flask
from flask.wrappers import Request
from werkzeug.routing import MapAdapter

from webhooks.connect.views import connect
from webhooks.health import health
from webhooks.metrics import metrics
from webhooks.notifications import PATH, notifications
from webhooks.uninstall import uninstall


class Application(Flask):
    """Flask, which finds the view of a notification without reading the Host header."""

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Return what matches the address; see Flask."""
        # Parsing the host would be a tenth of all that the web process does for a notification.
        if request is not None and request.environ["PATH_INFO"] == PATH and request.environ["REQUEST_METHOD"] == "POST":
            return self._of_notifications
        return super().create_url_adapter(request)

    @cached_property
    def _of_notifications(self) -> MapAdapter:
        return self.url_map.bind("localhost", path_info=PATH, default_method="POST")


def create_app() -> Flask:
    """Build the application; opens no connection."""
    app = Application("intercom_mirror", static_folder=None)
    for blueprint in (notifications, uninstall, connect, health, metrics):
        app.register_blueprint(blueprint)
    return app
