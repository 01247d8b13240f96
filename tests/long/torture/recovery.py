"""What is done after the last fault: wait until the inbox is empty, run the follow-ups, mend what was never told."""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta

from redis import Redis
from redis.exceptions import ResponseError
from sqlalchemy import Engine, text

from models.apply import apply
from models.db.engine import transaction
from models.rule.observations import Report
from tests.long.torture.emulated_intercom import EmulatedIntercom
from workers.facts.from_fetch import Fetch, FetchResult, FoundObject, MergedContact, MissingObject, report_from_fetch
from workers.inbox.doorbell import DOORBELL_MILLISECONDS
from workers.refetch.dirty_objects import refetch_dirty
from workers.runtime.redis_keys import DOORBELL, GROUP, INBOX

_LOOK_SECONDS = 0.1
# Objects in one transaction of the mending, as in a round of follow-ups.
_ROUND = 100
# Rounds of follow-ups after which an object that is still in doubt will stay so.
_MOST_ROUNDS = 1_000


def wait_until_empty(redis: Redis, seconds: float) -> float | None:
    """Wait until nothing is in the inbox nor in anybody's hands; returns the seconds, None if it takes longer."""
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        if left_in_inbox(redis) == (0, 0):
            return time.monotonic() - began
        time.sleep(_LOOK_SECONDS)
    return None


def left_in_inbox(redis: Redis) -> tuple[int, int]:
    """Count the entries of the inbox, and those of them that are in somebody's hands."""
    try:
        pending = int(redis.xpending(INBOX, GROUP)["pending"])
    except ResponseError:
        # There is no group before the first drain.
        pending = 0
    return int(redis.xlen(INBOX)), pending


def rings(redis: Redis, seconds: float) -> bool:
    """Tell whether somebody rings though nothing comes in, which only the beat does, and a drain answers."""
    return _within(seconds, lambda: bool(redis.exists(DOORBELL))) and _within(
        # It is taken off by whoever comes; left alone it would last longer than this.
        DOORBELL_MILLISECONDS / 2000,
        lambda: not redis.exists(DOORBELL),
    )


def _within(seconds: float, what: Callable[[], bool]) -> bool:
    until = time.monotonic() + seconds
    while not what():
        if time.monotonic() > until:
            return False
        # A drain that finds nothing takes the doorbell off after 50 ms.
        time.sleep(0.01)
    return True


def wait_until_consumed(redis: Redis, queue: str, seconds: float) -> bool:
    """Tell whether somebody takes what the beat puts into a queue, which Celery keeps as a Redis list of its name."""
    return _within(seconds, lambda: redis.llen(queue) == 0)


def wait_until_connected(engine: Engine, seconds: float) -> bool:
    """Wait until the token of the settings is in use; returns whether it is."""

    def connected() -> bool:
        with engine.connect() as connection:
            return bool(connection.execute(text("SELECT count(*) FROM connections")).scalar_one())

    return _within(seconds, connected)


def wait_until_synced(engine: Engine, seconds: float) -> list[str]:
    """Wait until no fill and no reconcile is under way; returns the states of those that did not end well."""
    query = text("SELECT state FROM sync_runs WHERE kind <> 'verify' AND state <> 'done'")

    def unfinished() -> list[str]:
        with engine.connect() as connection:
            return list(connection.execute(query).scalars())

    _within(seconds, lambda: not unfinished())
    return unfinished()


def synced(engine: Engine) -> Counter[str]:
    """Count the fills and reconciles that were done."""
    with engine.connect() as connection:
        query = text("SELECT kind FROM sync_runs WHERE kind <> 'verify' AND state = 'done'")
        return Counter(connection.execute(query).scalars())


def in_doubt(engine: Engine) -> int:
    """Count the objects that are marked to be fetched again."""
    with engine.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM object_states WHERE dirty > clean")).scalar_one())


def wait_until_certain(engine: Engine, seconds: float) -> int:
    """Give the worker's own follow-ups so much time; returns how many objects are still in doubt."""
    until = time.monotonic() + seconds
    while (left := in_doubt(engine)) and time.monotonic() < until:
        time.sleep(_LOOK_SECONDS)
    return left


def follow_up(engine: Engine, fetch: Fetch) -> int:
    """Run follow-ups, pauses left out, until nothing is in doubt; returns how many objects still are."""
    later = datetime.now(UTC) + timedelta(days=1)
    for _ in range(_MOST_ROUNDS):
        if not refetch_dirty(engine, fetch, later) or not in_doubt(engine):
            break
        later += timedelta(days=1)
    return in_doubt(engine)


def fetcher(intercom: EmulatedIntercom) -> Fetch:
    """Return a fetch that asks the workspace itself."""

    def fetch(_workspace_id: str, object_type: str, object_id: str) -> FetchResult:
        told = intercom.fetch(object_type, object_id)
        if told["status"] == "found":
            return FoundObject(told["object"], told["as_of_ms"], told["archived"])
        if told["status"] == "merged":
            return MergedContact(told["into"], told["as_of_ms"])
        return MissingObject(told["as_of_ms"])

    return fetch


def reconcile(engine: Engine, intercom: EmulatedIntercom) -> None:
    """Ask for everything that there is or was, as a complete reconcile does, and apply the answers."""
    truth = intercom.workspace.truth()
    contacts = {*truth["contacts"], *truth["redirects"], *truth["deleted"]["contact"]}
    companies = {*truth["companies"], *truth["deleted"]["company"]}
    _apply_all(engine, intercom, [("contact", id_) for id_ in contacts] + [("company", id_) for id_ in companies])


def _apply_all(engine: Engine, intercom: EmulatedIntercom, objects: list[tuple[str, str]]) -> None:
    fetch, workspace = fetcher(intercom), intercom.workspace.workspace_id
    for page in _pages(objects):
        reports = [
            report_from_fetch(workspace, kind, id_, fetch(workspace, kind, id_), refetched_from=0) for kind, id_ in page
        ]
        _in_transaction(engine, reports)


def _in_transaction(engine: Engine, reports: list[Report]) -> None:
    with transaction(engine) as connection:
        apply(connection, reports, datetime.now(UTC))


def _pages(objects: list[tuple[str, str]]) -> Iterable[list[tuple[str, str]]]:
    return (objects[start : start + _ROUND] for start in range(0, len(objects), _ROUND))
