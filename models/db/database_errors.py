"""Database errors: whether the data is at fault (park it) or the database is unavailable (wait for it)."""

import psycopg
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError

# SQLSTATE class 54, "program limit exceeded": a key too long for an index, JSON nested too deeply. The driver counts
# it among the operational errors, but waiting never helps.
_PROGRAM_LIMIT = "54"


def driver_error(error: BaseException) -> BaseException | None:
    """Return what the driver raised. COPY calls the driver directly, so SQLAlchemy does not wrap its errors."""
    return error.orig if isinstance(error, DBAPIError) else error


def describe_database_error(error: BaseException) -> str:
    """
    Return, in one line for the log, why the database is unavailable.

    A driver's message about the connection contains host names and limits, never rows.
    """
    cause = driver_error(error) or error
    return f"{type(cause).__name__}: {str(cause).strip().partition(chr(10))[0]}"


def is_database_unavailable(error: BaseException) -> bool:
    """
    Return whether waiting helps: no connection, restart, lock or time-out, disk full, schema not migrated yet.

    Any other error is caused by the data (or the code), and would occur again.
    """
    cause = driver_error(error)
    if isinstance(cause, psycopg.Error):
        state = cause.sqlstate or ""
        about_data = isinstance(cause, psycopg.DataError | psycopg.IntegrityError)
        return not about_data and not state.startswith(_PROGRAM_LIMIT)
    return isinstance(error, DBAPIError) and not isinstance(error, DataError | IntegrityError)
