"""
The five ready-made actions on Intercom: create, update, get and search contacts, and send a message.

Nothing is imported here, so that the web process can use MAX_KEY_LENGTH without loading SQL.
"""

# Characters of an Idempotency-Key; a UUID has 36.
MAX_KEY_LENGTH = 255
