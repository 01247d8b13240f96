"""Outgoing webhooks: what changed is told to addresses that the application named, signed, in order, at least once."""
