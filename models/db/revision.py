"""Whether a database has the tables of this version. Every process checks it, so this module works without Alembic."""

from sqlalchemy import Connection, Engine, inspect, text

# The newest migration, as models/migrations/versions names it; a test compares.
REVISION = "0006"


def is_schema_current(engine: Engine) -> bool:
    """
    Return whether the tables are those of this version.

    Raises:
        sqlalchemy.exc.OperationalError: the database cannot be reached.
    """
    with engine.connect() as connection:
        return current_revision(connection) == REVISION


def current_revision(connection: Connection) -> str | None:
    """Return the revision of the tables; None if there are no tables, or if they have several revisions."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    revisions = set(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
    return revisions.pop() if len(revisions) == 1 else None
