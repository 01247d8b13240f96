"""Find which row of many the database rejected, so that the other rows need not wait until trying finds it."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection

from models.db.database_errors import driver_error, is_database_unavailable

# In every table, the columns that identify a row's object are among the first five.
_KEY_COLUMNS = 5


class RejectedRowError(Exception):
    """
    The database rejected one row; the cause is what the driver raised.

    Args:
        key_values: the values at the beginning of the row, its workspace and its object's id among them. A hint that
            may be wrong.
    """

    def __init__(self, key_values: frozenset[str]) -> None:
        # Without the values, which would reach logs.
        super().__init__("The database rejected a row.")
        self.key_values = key_values


@contextmanager
def identify_rejected_row(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> Iterator[None]:
    """
    Write `rows` inside this block.

    Raises:
        RejectedRowError: the database rejected a row and its error shows which one. Other errors pass unchanged.
    """
    driver: Any = connection.connection.driver_connection
    changes_before = driver.total_changes if isinstance(driver, sqlite3.Connection) else 0
    try:
        yield
    except Exception as error:
        values = [] if is_database_unavailable(error) else _key_values(error, driver, changes_before, rows)
        if not values:
            raise
        raise RejectedRowError(frozenset(values)) from error


def _key_values(error: Exception, driver: Any, changes_before: int, rows: Sequence[tuple[Any, ...]]) -> list[str]:
    if isinstance(driver, sqlite3.Connection):
        # SQLite writes row by row, and keeps the rows before the rejected one until the rollback.
        return _first_values(rows, driver.total_changes - changes_before)
    cause = driver_error(error)
    if not isinstance(cause, psycopg.Error):
        return []
    if line := re.search(r"^COPY .*?, line (\d+)", cause.diag.context or "", re.MULTILINE):
        return _first_values(rows, int(line[1]) - 1)
    # "Failing row contains (workspace, id, ...": the words depend on the server's language, the brackets do not.
    detail = re.search(r"\((.*?), (.*?)[,)]", cause.diag.message_detail or "")
    return list(detail.groups()) if detail else []


def _first_values(rows: Sequence[tuple[Any, ...]], position: int) -> list[str]:
    row = rows[position] if position < len(rows) else ()
    return [value for value in row[:_KEY_COLUMNS] if isinstance(value, str)]
