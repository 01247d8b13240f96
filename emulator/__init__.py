"""An Intercom emulator: a workspace with random activity, signed notifications, the REST API, and the true content."""
