"""
The five actions on Intercom: create, update, get and search contacts, and send a message.

This module imports nothing, so that the web process can use MAX_KEY_LENGTH without loading SQL.
"""

# Characters of an Idempotency-Key; a UUID has 36.
MAX_KEY_LENGTH = 255
