"""Which database errors are the fault of the data (park it) and which of the database (wait for it)."""

import psycopg
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

# SQLSTATE class 54, "program limit exceeded": a key too long for an index, JSON nested too deeply. The driver counts
# it among the operational errors, but waiting never helps.
_PROGRAM_LIMIT = "54"


def driver_error(error: BaseException) -> BaseException | None:
    """Return what the driver raised: COPY speaks to the driver itself, whose errors SQLAlchemy does not wrap."""
    return error.orig if isinstance(error, DBAPIError) else error


def describe_database_error(error: BaseException) -> str:
    """
    Say why the database is away, in one line for the log.

    A driver's complaint about the connection names hosts and limits, never rows.
    """
    cause = driver_error(error) or error
    return f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}"


def is_database_unavailable(error: BaseException) -> bool:
    """
    Tell whether waiting helps: no connection, restart, lock or time-out, disk full, schema not migrated yet.

    Everything else is the data's fault (or the code's), and would fail again.
    """
    cause = driver_error(error)
    if isinstance(cause, psycopg.Error):
        state = cause.sqlstate or ""
        about_data = isinstance(cause, psycopg.DataError | psycopg.IntegrityError)
        return not about_data and not state.startswith(_PROGRAM_LIMIT)
    return isinstance(error, DBAPIError) and not isinstance(error, DataError | IntegrityError)
