"""Outgoing webhooks: signed messages about changes, sent to the application's endpoints in order, at least once."""
