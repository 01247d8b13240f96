"""Intercom's formats: signatures, notification envelopes, topics, times, pages, and canonical objects."""
