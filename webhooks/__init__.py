"""Everything that responds to HTTP: notifications, the connect pages, the API, health checks and metrics."""
