"""Engines, bulk statements, database errors, and the migration to the current revision."""
