"""Health checks and metrics, for operators and their monitoring."""
