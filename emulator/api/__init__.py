"""Intercom's REST API, pretended over the workspaces of this process."""
