"""/api/changes: changes in order, without gaps, of the user's own workspaces, and with long polling."""

import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from flask.testing import FlaskClient
from sqlalchemy import Engine, text
from werkzeug.test import TestResponse

from intercom_api.wire.envelope import parse
from models.apply import apply
from models.db.engine import read_engine, transaction, write_engine
from models.queries import change_feed, connection_rows
from models.queries.connection_rows import NewConnection, WorkspaceRow
from models.rule.observations import Report
from settings import get_settings
from tests.stories.connect_site import surroundings, user_token
from tests.stories.drain_harness import WORKSPACE, DrainHarness, contact, notification, open_harness
from webhooks.app import create_app
from workers.facts.from_notification import report_from_notification
from workers.prune import prune_older_than
from workers.runtime import feed_watch

# Seconds within which a waiting reader must receive a change; a tenth of a second is usual.
PROMPT_SECONDS = 3.0
# Changes of one transaction of a writer.
LINES = 5


class Reader:
    """An application that reads the feed."""

    def __init__(self, harness: DrainHarness) -> None:
        self.harness = harness
        self.client: FlaskClient = create_app().test_client()

    def get(self, query: str, user: str | None = None, **headers: str) -> TestResponse:
        """Send a request as a user, or as the operator."""
        token = user_token(user) if user else get_settings().admin_token
        return self.client.get(f"/api/changes{query}", headers={"Authorization": f"Bearer {token}", **headers})

    def page(self, query: str, user: str | None = None) -> dict[str, Any]:
        """Return the content of a successful response."""
        answer = self.get(query, user)
        assert answer.status_code == 200, answer.text
        found: Any = answer.json
        return dict(found)

    def change(self, *ids: str, number: int = 1) -> None:
        """Apply changes to contacts."""
        for offset, each in enumerate(ids):
            self.harness.append(notification("contact.user.created", contact(each), number=number + offset))
        self.harness.drain()

    def connect(self, user: str, workspace_id: str = WORKSPACE) -> None:
        """Connect a user."""
        new = NewConnection(user, "app", None, b"token", f"print of {user}")
        with transaction(self.harness.engine) as connection:
            connection_rows.save(connection, WorkspaceRow(workspace_id, "Ours", "US", None), new, datetime.now(UTC))


@pytest.fixture
def application(redis_url: str, database_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Reader]:
    """A mirror in development."""
    with (
        surroundings(monkeypatch, tmp_path, DATABASE_URL=database_url, REDIS_URL=redis_url),
        open_harness(redis_url, database_url) as harness,
    ):
        feed_watch.shared_feed_watch.cache_clear()
        yield Reader(harness)
        feed_watch.shared_feed_watch().close()
        feed_watch.shared_feed_watch.cache_clear()


def ids(page: dict[str, Any]) -> list[str]:
    return [line["object_id"] for line in page["changes"]]


def test_a_reader_continues_from_its_position(application: Reader) -> None:
    """`next` is all that it stores."""
    start = application.page("")["next"]
    application.change("c1", "c2", "c3")
    first = application.page(f"?after={start}&limit=2")
    assert ids(first) == ["c1", "c2"]
    second = application.page(f"?after={first['next']}&limit=2")
    assert ids(second) == ["c3"]
    assert application.page(f"?after={second['next']}") == {"changes": [], "next": second["next"]}


def test_types_filter(application: Reader) -> None:
    """`next` skips the other changes."""
    application.change("c1")
    page = application.page("?after=0&types=company")
    assert page["changes"] == []
    assert page["next"] > 0


def test_a_user_reads_only_changes_of_their_workspaces(application: Reader) -> None:
    """Changes of other workspaces do not exist for them."""
    application.connect("ada")
    application.connect("bob", "other001")
    application.change("c1")
    assert ids(application.page("?after=0", "ada")) == ["c1"]
    assert ids(application.page("?after=0", "bob")) == []
    assert ids(application.page("?after=0", "eve")) == []
    assert application.get("?after=0", "bob", **{"X-Workspace-Id": WORKSPACE}).status_code == 403
    assert application.client.get("/api/changes").status_code == 401


def test_a_waiting_reader_receives_a_change_at_once(application: Reader) -> None:
    """Without sending more requests."""
    start = application.page("")["next"]
    received: list[Any] = []

    def wait() -> None:
        received.append((application.page(f"?after={start}&wait=20"), time.monotonic()))

    reader = threading.Thread(target=wait)
    reader.start()
    # Until the thread waits; how long that takes does not matter.
    deadline = time.monotonic() + PROMPT_SECONDS
    while not feed_watch.shared_feed_watch()._waiting and time.monotonic() < deadline:
        time.sleep(0.01)
    began = time.monotonic()
    application.change("c1")
    reader.join(20)
    page, at = received[0]
    assert ids(page) == ["c1"]
    assert at - began < PROMPT_SECONDS


def test_a_reader_without_a_number_starts_at_the_end(application: Reader) -> None:
    """It stays there until a change is applied."""
    assert application.page("?wait=1")["changes"] == []


def test_a_reader_that_is_too_late_must_read_the_tables_again(application: Reader) -> None:
    """It never continues with changes missing; after the number in the problem it misses none."""
    application.change("c1")
    prune_older_than(application.harness.engine, 30, datetime.now(UTC) + timedelta(days=31))
    answer = application.get("?after=0")
    assert answer.status_code == 410
    assert answer.mimetype == "application/problem+json"
    problem: Any = answer.json
    application.change("c2", number=2)
    assert ids(application.page(f"?after={problem['next']}")) == ["c2"]


@pytest.mark.parametrize(
    "query",
    [
        "?after=-1",
        "?after=x",
        "?after=99999999999999999999",
        "?after=²",
        "?limit=0",
        "?limit=1001",
        "?types=people",
        "?types=",
        "?wait=31",
        "?wait=nan",
    ],
)
def test_an_invalid_query_is_refused_with_its_parameter(application: Reader, query: str) -> None:
    """The problem says what is valid."""
    answer = application.get(query)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["parameter"] in query


def test_a_reader_with_concurrent_writers_misses_no_change(postgres_url: str) -> None:
    """Numbers become visible in order, whichever writer commits first; each writer has its own workspace."""
    writers, batches = 4, 12
    done = threading.Event()
    seen: list[int] = []
    reader = read_engine(postgres_url)
    follower = threading.Thread(target=_follow, args=(reader, done, seen))
    follower.start()
    threads = [threading.Thread(target=_write, args=(postgres_url, writer, batches)) for writer in range(writers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    done.set()
    follower.join()
    with reader.connect() as connection:
        there = list(connection.execute(text("SELECT seq FROM changes ORDER BY seq")).scalars())
    reader.dispose()
    assert len(there) == writers * batches * LINES
    assert seen == there


def test_a_change_is_not_visible_before_those_with_smaller_numbers(postgres_url: str) -> None:
    """A writer that has drawn numbers and not committed blocks other writers, not readers."""
    engine, reader = write_engine(postgres_url), read_engine(postgres_url)
    seen: list[int] = []
    ended = threading.Event()
    ended.set()
    with transaction(engine) as connection:
        apply(connection, [_report(1_000, "ws000009")], datetime.now(UTC))
        other = threading.Thread(target=_write, args=(postgres_url, 1, 1))
        other.start()
        # Without the lock it would end in a fraction of that time.
        other.join(0.5)
        _follow(reader, ended, seen)
    other.join()
    with reader.connect() as connection:
        seen += [line.seq for line in change_feed.changes_after(connection, seen[-1] if seen else 0, 100)]
        there = list(connection.execute(text("SELECT seq FROM changes ORDER BY seq")).scalars())
    for each in (engine, reader):
        each.dispose()
    assert len(there) == 1 + LINES
    assert seen == there


def _follow(reader: Engine, done: threading.Event, seen: list[int]) -> None:
    last = 0
    while True:
        # Before reading: what was written before the flag was set is read below.
        ended = done.is_set()
        with reader.connect() as connection:
            head = change_feed.last_seq(connection)
            seen += [line.seq for line in change_feed.changes_after(connection, last, 10_000, through=head)]
        last = max(last, head)
        if ended:
            return


def _write(postgres_url: str, writer: int, batches: int) -> None:
    engine = write_engine(postgres_url)
    for batch in range(batches):
        first = (writer * batches + batch) * LINES
        reports = [_report(first + offset, f"ws{writer:06d}") for offset in range(LINES)]
        with transaction(engine) as connection:
            apply(connection, reports, datetime.now(UTC))
    engine.dispose()


def _report(number: int, workspace_id: str) -> Report:
    body = notification("contact.user.created", contact(f"c{number:05d}"), number=number) | {"app_id": workspace_id}
    report = report_from_notification(parse(msgspec.json.encode(body)), entry="1-0", received_at=0)
    assert report is not None
    return report
