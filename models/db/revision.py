"""Whether a database has the tables of this version. Every process checks it, so this module works without Alembic."""

from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

_VERSIONS = Path(__file__).parents[1] / "migrations" / "versions"

# The newest migration: the number that begins the name of the last file.
REVISION = max(path.name.partition("_")[0] for path in _VERSIONS.glob("[0-9]*.py"))


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
