"""Intercom's JSON becomes observations, from each of the four sources."""
