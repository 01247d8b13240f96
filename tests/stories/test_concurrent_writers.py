"""Several writers at once: no writer starves, and a reader of the change feed misses nothing."""

import threading
import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import Engine, TextClause, text

from intercom_api.wire.envelope import parse
from models.apply import apply
from models.db.engine import read_engine, transaction, write_engine
from tests.stories.drain_harness import WORKSPACE, contact, notification
from workers.facts.from_notification import report_from_notification


def _apply_one(engine: Engine, number: int, workspace: str = WORKSPACE) -> None:
    body = notification("contact.user.created", contact(f"c{number:05d}"), number=number) | {"app_id": workspace}
    _apply(engine, body)


def _apply(engine: Engine, body: dict[str, Any]) -> None:
    report = report_from_notification(parse(msgspec.json.encode(body)), entry="1-0", received_at=0)
    assert report is not None
    with transaction(engine) as connection:
        apply(connection, [report], datetime.now(UTC))


def _start_threads(count: int, work: Callable[[int], None]) -> list[threading.Thread]:
    threads = [threading.Thread(target=work, args=(index,)) for index in range(count)]
    for thread in threads:
        thread.start()
    return threads


def test_no_writer_of_sqlite_starves(sqlite_url: str) -> None:
    """Four writers without pauses all make progress; with SQLite's own waiting one of them would not."""
    writes: Counter[int] = Counter()
    end = time.monotonic() + 2.0

    def work(index: int) -> None:
        engine = write_engine(sqlite_url)
        while time.monotonic() < end:
            _apply_one(engine, index * 10_000 + writes[index])
            writes[index] += 1
        engine.dispose()

    for thread in _start_threads(4, work):
        thread.join()
    assert min(writes.values()) > max(writes.values()) / 3, writes


def test_a_reader_of_sqlite_does_not_wait_for_a_writer(sqlite_url: str) -> None:
    """Readers see the last commit while a transaction is open."""
    writer, reader = write_engine(sqlite_url), read_engine(sqlite_url)
    _apply_one(writer, 1)
    with transaction(writer) as connection:
        connection.execute(text("DELETE FROM contacts"))
        started = time.monotonic()
        with reader.connect() as other:
            assert other.execute(text("SELECT COUNT(*) FROM contacts")).scalar() == 1
        assert time.monotonic() - started < 1.0
    writer.dispose()
    reader.dispose()


def test_a_reader_that_remembers_the_last_seq_misses_no_change(database_url: str) -> None:
    """Four writers and one reader with plain SQL: the reader gets the whole feed, in order."""
    per_writer = 60
    seqs: list[int] = []

    def work(index: int) -> None:
        engine = write_engine(database_url)
        for number in range(per_writer):
            # Each writer has its own workspace, so that only the feed's lock keeps the writers in order.
            _apply_one(engine, number, f"ws{index}")
        engine.dispose()

    writers = _start_threads(4, work)
    reader = read_engine(database_url)
    follow = text("SELECT seq FROM changes WHERE seq > :last ORDER BY seq")
    writing = True
    while writing:
        writing = any(writer.is_alive() for writer in writers)
        with reader.connect() as connection:
            seqs += connection.execute(follow, {"last": seqs[-1] if seqs else 0}).scalars()
    with reader.connect() as connection:
        all_seqs = connection.execute(text("SELECT seq FROM changes ORDER BY seq")).scalars().all()
    reader.dispose()
    assert seqs == all_seqs
    assert len(seqs) == 4 * per_writer


def test_creating_guard_rows_never_waits_in_a_circle(postgres_url: str) -> None:
    """A batch waits for a guard row that another transaction creates; that one then locks a row of the batch."""
    first, second, observer = (write_engine(postgres_url) for _ in range(3))
    _apply_one(first, 0)
    with transaction(first) as connection:
        connection.execute(_INSERT_GUARD, {"workspace": WORKSPACE, "id": "f1"})
    creator = first.connect()
    creator.execute(_INSERT_GUARD, {"workspace": WORKSPACE, "id": "f2"})
    applying = threading.Thread(target=_apply_references, args=(second, ["f1", "f2"]))
    applying.start()
    waiting = text("SELECT COUNT(*) FROM pg_locks WHERE NOT granted")
    while not _query(observer, waiting):
        assert applying.is_alive()
    creator.execute(text("SET LOCAL lock_timeout = '500ms'"))
    creator.execute(text("SELECT 1 FROM object_states WHERE object_id = 'f1' FOR UPDATE"))
    creator.commit()
    applying.join()
    assert _query(observer, text("SELECT COUNT(*) FROM contact_companies")) == 2
    creator.close()
    for engine in (first, second, observer):
        engine.dispose()


_INSERT_GUARD = text(
    "INSERT INTO object_states (workspace_id, object_type, object_id, gone, dirty, clean, registers)"
    " VALUES (:workspace, 'company', :id, FALSE, 1, 0, '{}')"
)


def _apply_references(engine: Engine, companies: list[str]) -> None:
    _apply(
        engine, notification("contact.user.updated", contact("c00000", at=1_700_000_500, companies=companies), number=9)
    )


def _query(engine: Engine, query: TextClause) -> int:
    with engine.connect() as connection:
        value: int = connection.execute(query).scalar_one()
    return value
