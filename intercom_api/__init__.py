"""Intercom's protocols: signatures, notifications and topics, canonical forms of its objects, its REST API, errors."""
