"""Following what changed over HTTP: in order, without gaps, only one's own, and waiting where there is nothing yet."""

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

# Seconds in which a waiting reader must hear of a change; a tenth of a second is usual.
PROMPT_SECONDS = 3.0
# Lines of one transaction of a writer.
LINES = 5


class Reader:
    """An application that follows the feed."""

    def __init__(self, harness: DrainHarness) -> None:
        self.harness = harness
        self.client: FlaskClient = create_app().test_client()

    def get(self, query: str, user: str | None = None, **headers: str) -> TestResponse:
        """Ask as a user, or as the operator."""
        token = user_token(user) if user else get_settings().admin_token
        return self.client.get(f"/api/changes{query}", headers={"Authorization": f"Bearer {token}", **headers})

    def told(self, query: str, user: str | None = None) -> dict[str, Any]:
        """Return what a good answer says."""
        answer = self.get(query, user)
        assert answer.status_code == 200, answer.text
        found: Any = answer.json
        return dict(found)

    def change(self, *ids: str, number: int = 1) -> None:
        """Have contacts change."""
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


def ids(told: dict[str, Any]) -> list[str]:
    return [line["object_id"] for line in told["changes"]]


def test_a_reader_goes_on_from_where_it_was(application: Reader) -> None:
    """`next` is all that it keeps."""
    start = application.told("")["next"]
    application.change("c1", "c2", "c3")
    first = application.told(f"?after={start}&limit=2")
    assert ids(first) == ["c1", "c2"]
    second = application.told(f"?after={first['next']}&limit=2")
    assert ids(second) == ["c3"]
    assert application.told(f"?after={second['next']}") == {"changes": [], "next": second["next"]}


def test_types_choose(application: Reader) -> None:
    """And `next` skips what was not chosen."""
    application.change("c1")
    told = application.told("?after=0&types=company")
    assert told["changes"] == []
    assert told["next"] > 0


def test_a_user_hears_only_of_workspaces_that_they_connected(application: Reader) -> None:
    """Another's do not exist for them, not even as numbers of lines."""
    application.connect("ada")
    application.connect("bob", "other001")
    application.change("c1")
    assert ids(application.told("?after=0", "ada")) == ["c1"]
    assert ids(application.told("?after=0", "bob")) == []
    assert ids(application.told("?after=0", "nobody")) == []
    assert application.get("?after=0", "bob", **{"X-Workspace-Id": WORKSPACE}).status_code == 403
    assert application.client.get("/api/changes").status_code == 401


def test_a_reader_that_waits_hears_at_once(application: Reader) -> None:
    """Without asking again and again."""
    start = application.told("")["next"]
    heard: list[Any] = []

    def wait() -> None:
        heard.append((application.told(f"?after={start}&wait=20"), time.monotonic()))

    reader = threading.Thread(target=wait)
    reader.start()
    # It waits until the thread waits; how long that takes makes no difference to what is heard.
    deadline = time.monotonic() + PROMPT_SECONDS
    while not feed_watch.shared_feed_watch()._waiting and time.monotonic() < deadline:
        time.sleep(0.01)
    began = time.monotonic()
    application.change("c1")
    reader.join(20)
    told, at = heard[0]
    assert ids(told) == ["c1"]
    assert at - began < PROMPT_SECONDS


def test_a_reader_that_waits_from_now_on_hears_what_comes(application: Reader) -> None:
    """Without a number it begins at the end, and stays there until something comes."""
    assert application.told("?wait=1")["changes"] == []


def test_a_reader_that_is_too_late_is_told_to_read_the_tables_anew(application: Reader) -> None:
    """It never goes on with lines missing; from the number that it is given it misses nothing."""
    application.change("c1")
    prune_older_than(application.harness.engine, 30, datetime.now(UTC) + timedelta(days=31))
    answer = application.get("?after=0")
    assert answer.status_code == 410
    assert answer.mimetype == "application/problem+json"
    told: Any = answer.json
    application.change("c2", number=2)
    assert ids(application.told(f"?after={told['next']}")) == ["c2"]


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
def test_a_query_that_is_not_in_order_is_refused_by_name(application: Reader, query: str) -> None:
    """With what would be."""
    answer = application.get(query)
    assert answer.status_code == 400
    assert answer.json is not None
    assert answer.json["parameter"] in query


def test_a_reader_beside_many_writers_misses_no_line(postgres_url: str) -> None:
    """Numbers become visible in their order, whoever commits first; of one workspace, its marks see to that already."""
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


def test_a_line_is_not_seen_before_those_with_lesser_numbers(postgres_url: str) -> None:
    """A writer that drew its numbers and has not committed yet holds the others up, not their readers."""
    engine, reader = write_engine(postgres_url), read_engine(postgres_url)
    seen: list[int] = []
    ended = threading.Event()
    ended.set()
    with transaction(engine) as connection:
        apply(connection, [_report(1_000, "ws000009")], datetime.now(UTC))
        other = threading.Thread(target=_write, args=(postgres_url, 1, 1))
        other.start()
        # Without the lock it is done in a fraction of that.
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
        # Before reading: what was written before it was set is read below.
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
