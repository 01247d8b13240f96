"""How PostgreSQL goes about what every batch asks, with as little knowledge of the tables as in a new mirror."""

from collections.abc import Iterator

import msgspec
import pytest
from sqlalchemy import Engine

from models.db.bulk import _select, upsert
from models.db.engine import transaction, write_engine
from models.tables.internal_tables import link_states

_COLUMNS = ("workspace_id", "kind", "owner_id", "other_id", "present", "stamp")
# So many that reading the whole table is no choice.
_ROWS = 100_000


@pytest.fixture
def engine(postgres_url: str) -> Iterator[Engine]:
    """PostgreSQL with the links of one workspace, of which it has no statistics."""
    made = write_engine(postgres_url)
    rows = [("w1", "contact_companies", f"c{number:05}", f"f{number % 50}", True, "[]") for number in range(_ROWS)]
    with transaction(made) as connection:
        upsert(connection, link_states, _COLUMNS, rows)
    yield made
    made.dispose()


def test_links_are_looked_up_by_their_owner(engine: Engine) -> None:
    """Another index that begins like the primary key once read all links of the workspace for each owner."""
    wanted = msgspec.json.encode([("w1", "contact_companies", f"c{number:05}") for number in range(500)]).decode()
    statement = _select("postgresql", link_states, _COLUMNS, _COLUMNS[:3], lock=False)
    with engine.connect() as connection:
        plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {statement}", (wanted,)).scalars())
    assert "using pk_link_states" in plan or "on pk_link_states" in plan, plan
