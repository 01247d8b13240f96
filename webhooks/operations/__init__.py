"""Health and metrics of the running processes."""
