"""The Flask application."""

from flask import Flask

from webhooks.notifications import notifications


def create_app() -> Flask:
    """Build the application; opens no connection."""
    app = Flask("intercom_mirror", static_folder=None)
    app.register_blueprint(notifications)
    return app
