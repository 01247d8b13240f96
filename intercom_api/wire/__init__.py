"""Intercom's formats: signatures, notification envelopes, topics, times, and canonical objects."""
