"""Engines, bulk statements, database errors, and migrating to the current revision."""
