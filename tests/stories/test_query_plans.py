"""How PostgreSQL plans the queries of every batch, without statistics, as in a new mirror."""

from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import Engine

from models.db.bulk import _select, upsert
from models.db.engine import transaction, write_engine
from models.tables.internal_tables import link_states

_COLUMNS = ("workspace_id", "kind", "owner_id", "other_id", "present", "stamp")
# So many rows that a sequential scan is too slow.
_ROWS = 100_000


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """PostgreSQL with the links of one workspace, without statistics."""
    engine = write_engine(postgres_url)
    rows = [("w1", "contact_companies", f"c{number:05}", f"f{number % 50}", True, "[]") for number in range(_ROWS)]
    with transaction(engine) as connection:
        upsert(connection, link_states, _COLUMNS, rows)
    yield engine
    engine.dispose()


def test_links_are_looked_up_by_their_owner(engine: Engine) -> None:
    """With another index that starts like the primary key, PostgreSQL read all links of the workspace per owner."""
    parameter = msgspec.json.encode([("w1", "contact_companies", f"c{number:05}") for number in range(500)]).decode()
    statement = _select("postgresql", link_states, _COLUMNS, _COLUMNS[:3], lock=False)
    with engine.connect() as connection:
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", (parameter,)).scalars())
    assert "using pk_link_states" in plan or "on pk_link_states" in plan, plan
