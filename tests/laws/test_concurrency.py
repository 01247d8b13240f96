"""Several workers on one database: the tables end as if one worker had applied everything."""

import threading
from collections.abc import Iterator
from datetime import timedelta
from itertools import count
from queue import Empty, Queue

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from intercom_api.errors import TransientError
from models.apply import apply
from models.db.database_errors import is_database_unavailable
from models.db.engine import transaction, write_engine
from tests.laws.expected_state import differences
from tests.laws.histories import STEPS, STYLES, Move, seeded_random, workspace_after
from tests.laws.mirrors import NOW, MemoryMirror, SqlMirror, read
from tests.laws.simulation import PAUSE, ROUNDS, fetch_result_of
from tests.laws.true_workspace import TrueWorkspace
from workers.facts.from_fetch import FetchResult, FoundObject, MissingObject, report_from_fetch

# Enough for every kind of event to share a batch with every other kind.
MOVES = 60
HISTORIES = 4

# Checks for a waiting connection, a hundredth of a second apart.
CHECKS = 1000


def busy_history(seed: int) -> list[Move]:
    """Return a long history about few objects."""
    rng = seeded_random(seed)
    return [
        Move(
            rng.randrange(21), rng.randrange(4), rng.randrange(4), rng.randrange(len(STEPS)), rng.randrange(len(STYLES))
        )
        for _ in range(MOVES)
    ]


def apply_with_retries(work: Queue[list[bytes]], url: str, workspace_id: str) -> None:
    """Apply batches until none is left; like a drain, put a batch back if the database could not apply it."""
    engine = write_engine(url)
    mirror = SqlMirror(engine, workspace_id)
    while True:
        try:
            batch = work.get_nowait()
        except Empty:
            break
        try:
            mirror.deliver(batch)
        except OperationalError as error:
            if not is_database_unavailable(error):
                raise
            work.put(batch)
    engine.dispose()


def test_workers_at_the_same_time_end_with_the_same_tables(database_url: str) -> None:
    """Three workers with overlapping batches of the same notifications end as one worker does."""
    engine = write_engine(database_url)
    for seed in range(HISTORIES):
        rng, name = seeded_random(seed), f"w{seed}"
        bodies = [notification.to(name) for notification in workspace_after(busy_history(seed)).sent] * 2
        rng.shuffle(bodies)
        work: Queue[list[bytes]] = Queue()
        for start in range(0, len(bodies), 7):
            work.put(bodies[start : start + 7])
        workers = [threading.Thread(target=apply_with_retries, args=(work, database_url, name)) for _ in range(3)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        in_memory = MemoryMirror(name)
        in_memory.deliver(bodies)
        assert SqlMirror(engine, name).snapshot().tables() == in_memory.snapshot().tables()
    engine.dispose()


def test_refetches_besides_workers_end_with_the_true_workspace(database_url: str) -> None:
    """Refetches that run while batches are applied lose nothing."""
    engine = write_engine(database_url)
    for seed in range(HISTORIES):
        name = f"f{seed}"
        workspace = workspace_after(whole_history(seed))
        work: Queue[list[bytes]] = Queue()
        for notification in reversed(workspace.sent):
            work.put([notification.to(name)])
        workers = [threading.Thread(target=apply_with_retries, args=(work, database_url, name)) for _ in range(2)]
        for worker in workers:
            worker.start()
        mirror = SqlMirror(engine, name)
        rounds = refetch_rounds(mirror, workspace)
        while any(worker.is_alive() for worker in workers):
            next(rounds)
        for _ in range(ROUNDS):
            if not next(rounds):
                break
        assert list(differences(mirror.snapshot(), workspace)) == []
    engine.dispose()


def whole_history(seed: int) -> list[Move]:
    """Return a busy history without short forms, whose missing keys only other forms can provide."""
    return [move._replace(style=0 if STYLES[move.style].short else move.style) for move in busy_history(seed)]


def refetch_rounds(mirror: SqlMirror, workspace: TrueWorkspace) -> Iterator[int]:
    """Run a round of refetches for each `next`, with time advancing."""

    def fetch(workspace_id: str, object_type: str, object_id: str) -> FetchResult:
        if workspace_id != mirror.workspace_id:
            raise TransientError("The object belongs to another workspace.", 1.0)
        return fetch_result_of(workspace.get_by_id(object_type, object_id), workspace.now)

    for turn in count(1):
        workspace.now += 1000
        try:
            yield mirror.refetch(fetch, NOW + turn * PAUSE)
        except OperationalError as error:
            if not is_database_unavailable(error):
                raise
            yield 1


def contact_body(companies: list[str], second: int) -> bytes:
    listed = {"type": "list", "data": [{"id": id_, "type": "company"} for id_ in companies], "has_more": False}
    item = {
        "type": "contact",
        "id": "c",
        "role": "user",
        "updated_at": second,
        "companies": listed,
        "tags": {"data": []},
    }
    return msgspec.json.encode(
        {
            "id": f"n{second}",
            "topic": "contact.user.updated",
            "app_id": "race",
            "created_at": second,
            "data": {"item": item},
        }
    )


def test_a_revived_company_does_not_restore_a_link_that_is_removed_at_that_moment(postgres_url: str) -> None:
    """One worker revives a company while another, not yet committed, removes a contact's link to it."""
    engine, other = write_engine(postgres_url), write_engine(postgres_url)
    mirror = SqlMirror(engine, "race")
    mirror.deliver([contact_body(["firm"], 1000)])
    with transaction(engine) as connection:
        apply(
            connection, [report_from_fetch("race", "company", "firm", MissingObject(1_000_500), refetched_from=1)], NOW
        )
    assert mirror.snapshot().links == frozenset()

    def revive() -> None:
        found = FoundObject({"type": "company", "id": "firm", "updated_at": 999}, 2_000_000, archived=False)
        with transaction(other) as connection:
            apply(
                connection,
                [report_from_fetch("race", "company", "firm", found, refetched_from=1)],
                NOW + timedelta(seconds=1),
            )

    reviver = threading.Thread(target=revive)
    with transaction(engine) as connection:
        apply(connection, read([contact_body([], 1001)]), NOW)
        reviver.start()
        wait_for_a_lock(postgres_url)
    reviver.join()
    snapshot = mirror.snapshot()
    assert ("company", "firm") in snapshot.rows
    assert snapshot.links == frozenset()
    engine.dispose()
    other.dispose()


def wait_for_a_lock(url: str) -> None:
    """Return once another connection waits for a lock."""
    engine = write_engine(url)
    waiting = text(
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    )
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for _ in range(CHECKS):
            if connection.execute(waiting).scalar_one():
                break
            threading.Event().wait(0.01)
        else:
            pytest.fail("No connection waits for a lock.")
    engine.dispose()
