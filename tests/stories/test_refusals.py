"""What the database says of a row that it refuses."""

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
    made = write_engine(database_url)
    yield made
    made.dispose()


_ROWS = [("w1", f"t{number}", "VIP", "{}", "webhook", 1, "2026-01-10 04:11:34", None) for number in range(40)]


def test_the_row_that_breaks_a_constraint_is_named(engine: Engine) -> None:
    """A column that must not be null; the error's own words name nobody, as they reach logs."""
    refused = _refusal(engine, [*_ROWS[:23], (*_ROWS[23][:4], None, *_ROWS[23][5:]), *_ROWS[24:]])
    assert {"w1", "t23"} <= refused.key_values
    assert "t24" not in refused.key_values
    assert "t23" not in str(refused)


def test_the_row_whose_json_postgresql_cannot_store_is_named(postgres_url: str) -> None:
    """It stops within COPY, and says at which line."""
    engine = write_engine(postgres_url)
    bad = (*_ROWS[23][:3], '{"name": "\\u0000"}', *_ROWS[23][4:])
    refused = _refusal(engine, [*_ROWS[:23], bad, *_ROWS[24:]])
    engine.dispose()
    assert {"w1", "t23"} <= refused.key_values
    assert "t24" not in refused.key_values


def _refusal(engine: Engine, rows: list[tuple[Any, ...]]) -> RejectedRowError:
    with pytest.raises(RejectedRowError) as refused, transaction(engine) as connection:
        upsert(connection, tags.table, tags.columns, rows)
    return refused.value
