"""Intercom's REST API over HTTP: transport, retries, the client of a workspace, OAuth, and passthrough."""
