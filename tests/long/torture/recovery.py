"""After the last fault: wait for the system to recover, refetch dirty objects, and reconcile lost notifications."""

import time
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from redis import Redis
from redis.exceptions import ResponseError
from sqlalchemy import Engine, text

from models.apply import apply
from models.db.engine import transaction
from settings.units import MS_PER_SECOND
from tests.long.torture.emulated_intercom import EmulatedIntercom
from workers.facts.from_fetch import Fetch, FetchResult, FoundObject, MergedContact, MissingObject, report_from_fetch
from workers.inbox.doorbell import DOORBELL_MILLISECONDS
from workers.refetch.dirty_objects import refetch_dirty
from workers.runtime.redis_keys import DOORBELL, GROUP, INBOX

_POLL_SECONDS = 0.1
# A drain that finds an empty inbox deletes the doorbell after 50 ms, so that it has to be polled more often.
_DOORBELL_POLL_SECONDS = 0.01
# Objects in one transaction of the reconcile, as in a round of refetches.
_PAGE_OBJECTS = 100
# Rounds of refetches after which an object that is still dirty will stay so.
_MAX_ROUNDS = 1_000


def wait_until_inbox_empty(redis: Redis, seconds: float) -> float | None:
    """Wait until the inbox has no entries, pending ones included; returns the seconds, None if it takes longer."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        if count_inbox(redis) == (0, 0):
            return time.monotonic() - began
        time.sleep(_POLL_SECONDS)
    return None


def count_inbox(redis: Redis) -> tuple[int, int]:
    """Return the number of entries in the inbox, and how many of them are pending."""
    try:
        pending = int(redis.xpending(INBOX, GROUP)["pending"])
    except ResponseError:
        # There is no consumer group before the first drain.
        pending = 0
    return int(redis.xlen(INBOX)), pending


def is_beat_working(redis: Redis, seconds: float) -> bool:
    """Return whether the doorbell is set although nothing arrives, which only beat does, and a drain deletes it."""
    return _wait(seconds, lambda: bool(redis.exists(DOORBELL))) and _wait(
        # Without a drain the key would last longer than this.
        DOORBELL_MILLISECONDS / 2 / MS_PER_SECOND,
        lambda: not redis.exists(DOORBELL),
    )


def _wait(seconds: float, condition: Callable[[], bool]) -> bool:
    """Wait for a condition; returns whether it became true in time."""
    until = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > until:
            return False
        time.sleep(_DOORBELL_POLL_SECONDS)
    return True


def wait_until_consumed(redis: Redis, queue: str, seconds: float) -> bool:
    """Return whether a worker takes beat's messages from a queue, which Celery keeps as a Redis list of its name."""
    return _wait(seconds, lambda: redis.llen(queue) == 0)


def wait_until_connected(engine: Engine, seconds: float) -> bool:
    """Wait until the token of the settings is connected; returns whether it is."""

    def is_connected() -> bool:
        with engine.connect() as connection:
            return bool(connection.execute(text("SELECT count(*) FROM connections")).scalar_one())

    return _wait(seconds, is_connected)


def wait_until_synced(engine: Engine, seconds: float) -> list[str]:
    """Wait until no backfill and no reconcile is open; returns the states of those that did not end well."""
    query = text("SELECT state FROM sync_runs WHERE kind <> 'verify' AND state <> 'done'")

    def unfinished() -> list[str]:
        with engine.connect() as connection:
            return list(connection.execute(query).scalars())

    _wait(seconds, lambda: not unfinished())
    return unfinished()


def count_finished_runs(engine: Engine) -> Counter[str]:
    """Return how many backfills and reconciles are done."""
    with engine.connect() as connection:
        query = text("SELECT kind FROM sync_runs WHERE kind <> 'verify' AND state = 'done'")
        return Counter(connection.execute(query).scalars())


def count_dirty(engine: Engine) -> int:
    """Return how many objects are dirty."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM object_states WHERE dirty > clean")).scalar_one())


def wait_until_clean(engine: Engine, seconds: float) -> int:
    """Give the worker's own refetches so much time; returns how many objects are still dirty."""
    until = time.monotonic() + seconds
    while (dirty := count_dirty(engine)) and time.monotonic() < until:
        time.sleep(_POLL_SECONDS)
    return dirty


def refetch_all(engine: Engine, fetch: Fetch) -> int:
    """Refetch without pauses until no object is dirty; returns how many still are."""
    # In the future, when every pause after a failed refetch has ended.
    later = datetime.now(UTC) + timedelta(days=1)
    for _ in range(_MAX_ROUNDS):
        if not refetch_dirty(engine, fetch, later) or not count_dirty(engine):
            break
        later += timedelta(days=1)
    return count_dirty(engine)


def fetch_from(intercom: EmulatedIntercom) -> Fetch:
    """Return a fetch that reads the emulated workspace directly."""

    def fetch(_workspace_id: str, object_type: str, object_id: str) -> FetchResult:
        found = intercom.fetch(object_type, object_id)
        if found["status"] == "found":
            return FoundObject(found["object"], found["as_of_ms"], found["archived"])
        if found["status"] == "merged":
            return MergedContact(found["into"], found["as_of_ms"])
        return MissingObject(found["as_of_ms"])

    return fetch


def reconcile(engine: Engine, intercom: EmulatedIntercom) -> None:
    """Fetch every object that exists or existed, as a complete reconcile does, and apply the results."""
    truth = intercom.workspace.truth()
    contacts = {*truth["contacts"], *truth["redirects"], *truth["deleted"]["contact"]}
    companies = {*truth["companies"], *truth["deleted"]["company"]}
    objects = [("contact", id_) for id_ in contacts] + [("company", id_) for id_ in companies]
    fetch, workspace = fetch_from(intercom), intercom.workspace.workspace_id
    for start in range(0, len(objects), _PAGE_OBJECTS):
        reports = [
            report_from_fetch(workspace, kind, id_, fetch(workspace, kind, id_), refetched_from=0)
            for kind, id_ in objects[start : start + _PAGE_OBJECTS]
        ]
        with transaction(engine) as connection:
            apply(connection, reports, datetime.now(UTC))
