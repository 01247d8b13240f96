"""The metadata with every table of the product, for Alembic and for tests that read the whole schema."""

from models.tables import delivery_tables, internal_tables, public_tables, sync_tables, workflow_tables

__all__ = ["delivery_tables", "internal_tables", "metadata", "public_tables", "sync_tables", "workflow_tables"]

# Each of the modules above adds its tables when it is imported.
metadata = public_tables.metadata
