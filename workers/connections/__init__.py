"""Connections: which workspaces can be called, with which token, and when a connection ends."""
