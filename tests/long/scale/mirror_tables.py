"""Queries on the tables of a run: its progress, and differences from the workspace."""

from typing import Any

from sqlalchemy import Engine, text

from emulator.workspace import EmulatedWorkspace
from tests.long.torture.table_comparison import Difference, differences


def rows(engine: Engine) -> dict[str, int]:
    """Count the rows of the tables that applications read."""
    tables = ("contacts", "companies", "contact_companies", "contact_tags", "contact_segments")
    return {table: _number(engine, f"SELECT COUNT(*) FROM {table}") for table in tables}  # noqa: S608 -- table names of ours


def seen(engine: Engine) -> int:
    """Count the contacts that were read so far."""
    return _number(engine, "SELECT COUNT(*) FROM contacts")


def count_dirty(engine: Engine) -> int:
    """Count the objects that wait for a refetch."""
    return _number(engine, "SELECT COUNT(*) FROM object_states WHERE dirty > clean")


def runs(engine: Engine) -> list[dict[str, Any]]:
    """Return the backfills and reconciles, oldest first."""
    query = "SELECT id, kind, state, asked_by, seen, expected, error FROM sync_runs WHERE kind <> 'verify' ORDER BY id"
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def wrong(engine: Engine, workspace: EmulatedWorkspace) -> list[Difference]:
    """Return the differences from the workspace, without those that the mirror cannot know of."""
    truth = workspace.truth()
    if engine.dialect.name == "postgresql":
        # Without a transaction: the database ends sessions that are idle in one, and the comparison takes long.
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    found = differences(engine, truth, frozenset())
    with engine.connect() as connection:
        known = set(connection.execute(text("SELECT object_id FROM object_states")).scalars())
        stored = {
            f"{row[0]} {row[1]}"
            for row in connection.execute(text("SELECT contact_id, segment_id FROM contact_segments"))
        }
    expected = {f"{c['id']} {other}" for c in truth["contacts"].values() for other in c["_segment_ids"]}
    found += [("contact_segments", pair, "is missing") for pair in sorted(expected - stored)]
    found += [("contact_segments", pair, "is stored, and should not be") for pair in sorted(stored - expected)]
    return [each for each in found if not _cannot_be_known(workspace, known, *each)]


def _cannot_be_known(workspace: EmulatedWorkspace, known: set[str], table: str, ids: str, what: str) -> bool:
    """Return whether no list and no webhook shows it: companies without contacts, the fate of unknown contacts."""
    if what != "is missing":
        return False
    if table == "companies":
        # Lists contain companies with contacts that are not archived.
        return all(each in workspace.archived and each not in known for each in workspace.companies[ids].contact_ids)
    if table == "contacts":
        return ids in workspace.archived and ids not in known
    first = ids.partition(" ")[0]
    unheard = first in workspace.archived and first not in known
    return unheard or (table == "contact_redirects" and first not in known)


def _number(engine: Engine, query: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())
