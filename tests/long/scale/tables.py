"""Looks into the tables of a run: how far it is, and what is not as in the workspace."""

from typing import Any

from sqlalchemy import Engine, text

from emulator.workspace import EmulatedWorkspace
from tests.long.torture.table_comparison import Difference, differences


def rows(engine: Engine) -> dict[str, int]:
    """Count what the application reads."""
    tables = ("contacts", "companies", "contact_companies", "contact_tags", "contact_segments")
    return {table: _number(engine, f"SELECT COUNT(*) FROM {table}") for table in tables}  # noqa: S608 -- our names


def seen(engine: Engine) -> int:
    """Count the contacts that the walk has seen so far."""
    return _number(engine, "SELECT COUNT(*) FROM contacts")


def doubtful(engine: Engine) -> int:
    """Count the objects that are to be fetched again."""
    return _number(engine, "SELECT COUNT(*) FROM object_states WHERE dirty > clean")


def runs(engine: Engine) -> list[dict[str, Any]]:
    """Return every run but verifications, oldest first."""
    query = "SELECT id, kind, state, asked_by, seen, expected, error FROM sync_runs WHERE kind <> 'verify' ORDER BY id"
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(text(query)).mappings()]


def wrong(engine: Engine, workspace: EmulatedWorkspace) -> list[Difference]:
    """Compare everything with the workspace, but what nobody can know."""
    truth = workspace.truth()
    if engine.dialect.name == "postgresql":
        # Our sessions are ended that rest inside a transaction, and the comparison takes its time.
        engine = engine.execution_options(isolation_level="AUTOCOMMIT")
    found = differences(engine, truth, frozenset())
    with engine.connect() as connection:
        known = set(connection.execute(text("SELECT object_id FROM object_states")).scalars())
        there = {
            f"{row[0]} {row[1]}"
            for row in connection.execute(text("SELECT contact_id, segment_id FROM contact_segments"))
        }
    wanted = {f"{c['id']} {other}" for c in truth["contacts"].values() for other in c["_segment_ids"]}
    found += [("contact_segments", pair, "is missing") for pair in sorted(wanted - there)]
    found += [("contact_segments", pair, "is there, and should not be") for pair in sorted(there - wanted)]
    return [each for each in found if not _cannot_be_known(workspace, known, *each)]


def _cannot_be_known(workspace: EmulatedWorkspace, known: set[str], table: str, ids: str, what: str) -> bool:
    """Tell what no list shows and no webhook told: lonely companies, and what became of contacts we never heard of."""
    if what != "is missing":
        return False
    if table == "companies":
        # Lists show those with contacts, and of these only the ones that are not archived count.
        return all(each in workspace.archived and each not in known for each in workspace.companies[ids].contact_ids)
    if table == "contacts":
        return ids in workspace.archived and ids not in known
    first = ids.partition(" ")[0]
    unheard = first in workspace.archived and first not in known
    return unheard or (table == "contact_redirects" and first not in known)


def _number(engine: Engine, query: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(query)).scalar_one())
