"""Whether a database has the tables of this version; asked by every process, so it does without Alembic."""

from sqlalchemy import Connection, Engine, inspect, text

# The newest migration, as models/migrations/versions names it; a test compares.
REVISION = "0006"


def is_current(engine: Engine) -> bool:
    """
    Tell whether the tables are those of this version.

    Raises:
        sqlalchemy.exc.OperationalError: the database cannot be reached.
    """
    with engine.connect() as connection:
        return current(connection) == REVISION


def current(connection: Connection) -> str | None:
    """Return the revision of the tables; None if there are none, or if they are of several revisions at once."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    found = set(connection.execute(text("SELECT version_num FROM alembic_version")).scalars())
    return found.pop() if len(found) == 1 else None
