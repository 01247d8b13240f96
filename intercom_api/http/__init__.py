"""Calls to Intercom's REST API: transport, retries, the client of one workspace, OAuth, and passthrough."""
