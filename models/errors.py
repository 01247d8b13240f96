"""Which database errors are the fault of the data (park it) and which of the database (wait for it)."""

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, ProgrammingError
from sqlalchemy.exc import DataError as SqlDataError

# SQLSTATE class 54, "program limit exceeded": a key too long for an index, JSON nested too deeply. The driver counts
# it among the operational errors, but waiting never helps.
_PROGRAM_LIMIT = "54"


def database_is_away(error: BaseException) -> bool:
    """
    Tell whether waiting helps: no connection, restart, lock or time-out, disk full, schema not migrated yet.

    Everything else is the data's fault (or the code's), and would fail again.
    """
    if not isinstance(error, DBAPIError):
        return False
    if isinstance(error, SqlDataError | IntegrityError):
        return False
    state = getattr(error.orig, "sqlstate", None)
    if isinstance(error, OperationalError) and state is not None and state.startswith(_PROGRAM_LIMIT):
        return False
    return not (isinstance(error, ProgrammingError) and "binding parameter" in str(error.orig))
