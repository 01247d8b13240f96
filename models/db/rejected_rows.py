"""Which row of many the database refused, so that the others need not wait until it is found by trying."""

import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from sqlalchemy import Connection

from models.db.errors import driver_error, is_database_unavailable

# The columns of a row that may name its object: in every table of ours it is among the first ones.
_NAMING_COLUMNS = 5


class RejectedRowError(Exception):
    """
    The database refused one row; the cause is what the driver raised.

    `key_values`: what the row begins with, its workspace and its object's id among it. A hint, not to be relied upon.
    """

    def __init__(self, key_values: frozenset[str]) -> None:
        # Without the names, which would reach logs.
        super().__init__("The database refused a row.")
        self.key_values = key_values


@contextmanager
def identify_rejected_row(connection: Connection, rows: Sequence[tuple[Any, ...]]) -> Iterator[None]:
    """
    Write `rows` inside this block.

    Raises:
        RejectedRowError: the database refused one of them and let us know which; other errors stay as they are.
    """
    driver: Any = connection.connection.driver_connection
    written = driver.total_changes if isinstance(driver, sqlite3.Connection) else 0
    try:
        yield
    except Exception as error:
        names = [] if is_database_unavailable(error) else _names(error, driver, written, rows)
        if not names:
            raise
        raise RejectedRowError(frozenset(names)) from error


def _names(error: Exception, driver: Any, written: int, rows: Sequence[tuple[Any, ...]]) -> list[str]:
    if isinstance(driver, sqlite3.Connection):
        # It goes row by row, and keeps those before the refused one until the rollback.
        return _beginning(rows, driver.total_changes - written)
    cause = driver_error(error)
    if not isinstance(cause, psycopg.Error):
        return []
    if line := re.search(r"^COPY .*?, line (\d+)", cause.diag.context or "", re.MULTILINE):
        return _beginning(rows, int(line[1]) - 1)
    # "Failing row contains (workspace, id, ...": the words depend on the server's language, the brackets do not.
    shown = re.search(r"\((.*?), (.*?)[,)]", cause.diag.message_detail or "")
    return list(shown.groups()) if shown else []


def _beginning(rows: Sequence[tuple[Any, ...]], position: int) -> list[str]:
    row = rows[position] if position < len(rows) else ()
    return [value for value in row[:_NAMING_COLUMNS] if isinstance(value, str)]
