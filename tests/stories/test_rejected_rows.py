"""Which row the database rejected."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Engine

from models.db.bulk import upsert
from models.db.engine import transaction, write_engine
from models.db.rejected_rows import RejectedRowError
from models.tables.public_tables import tags


@pytest.fixture
def engine(database_url: str) -> Iterator[Engine]:
    """An engine on either database."""
    engine = write_engine(database_url)
    yield engine
    engine.dispose()


_ROWS = [("w1", f"t{number}", "VIP", "{}", "webhook", 1, "2026-01-10 04:11:34", None) for number in range(40)]


def test_a_row_that_violates_a_constraint_is_identified(engine: Engine) -> None:
    """A null in a column that must not be null. The error's message has no ids, as it reaches logs."""
    rejected = _rejection(engine, [*_ROWS[:23], (*_ROWS[23][:4], None, *_ROWS[23][5:]), *_ROWS[24:]])
    assert {"w1", "t23"} <= rejected.key_values
    assert "t24" not in rejected.key_values
    assert "t23" not in str(rejected)


def test_a_row_whose_json_postgresql_cannot_store_is_identified(postgres_url: str) -> None:
    """COPY fails, and its error has the line number."""
    engine = write_engine(postgres_url)
    bad = (*_ROWS[23][:3], '{"name": "\\u0000"}', *_ROWS[23][4:])
    rejected = _rejection(engine, [*_ROWS[:23], bad, *_ROWS[24:]])
    engine.dispose()
    assert {"w1", "t23"} <= rejected.key_values
    assert "t24" not in rejected.key_values


def _rejection(engine: Engine, rows: list[tuple[Any, ...]]) -> RejectedRowError:
    with pytest.raises(RejectedRowError) as rejected, transaction(engine) as connection:
        upsert(connection, tags.table, tags.columns, rows)
    return rejected.value
