"""Whether a database has the tables of this version; asked by every process, so it does without Alembic."""

from sqlalchemy import Engine, inspect, text

# The newest migration, as models/migrations/versions names it; a test compares.
REVISION = "0001"


def is_current(engine: Engine) -> bool:
    """
    Tell whether the tables are those of this version.

    Raises:
        sqlalchemy.exc.OperationalError: the database cannot be reached.
    """
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return False
        return set(connection.execute(text("SELECT version_num FROM alembic_version")).scalars()) == {REVISION}
