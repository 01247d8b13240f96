"""Follow-ups: objects that are in doubt are fetched again, once, however many notifications doubted them."""

from datetime import datetime, timedelta
from typing import NamedTuple

import structlog
from sqlalchemy import Engine, Update, case, null, or_, select, update

from intercom_api.errors import MalformedNotificationError, TransientError
from models.apply import apply
from models.engine import transaction
from models.observations import Report
from models.private import object_states
from workers.fetched import Fetch, report

log = structlog.get_logger()

# Objects in one round: enough to write in bulk, few enough that a round ends within seconds.
ROUND = 100

# Seconds before an object that stayed in doubt is asked for again; doubled each time, up to the longest.
FIRST_PAUSE = 2
LONGEST_PAUSE = 3600


class Doubtful(NamedTuple):
    """An object to be refetched; `dirty` is the counter that the refetch starts from."""

    workspace_id: str
    object_type: str
    object_id: str
    dirty: int
    refetch_attempts: int


def refetch_dirty(engine: Engine, fetch: Fetch, now: datetime, limit: int = ROUND) -> int:
    """
    Fetch and apply one round of dirty objects; run it again until it returns 0.

    An object whose fetch fails, or that is still in doubt afterwards, waits before it is asked for again.

    Returns:
        How many objects were asked for.
    """
    doubtful = _due(engine, now, limit)
    reports = [answered for item in doubtful if (answered := _ask(fetch, item)) is not None]
    with transaction(engine) as connection:
        apply(connection, reports, now)
        for item in doubtful:
            connection.execute(_next_try(item, now))
    if doubtful:
        log.info("refetched", asked=len(doubtful), answered=len(reports))
    return len(doubtful)


def _due(engine: Engine, now: datetime, limit: int) -> list[Doubtful]:
    c = object_states.c
    query = (
        select(c.workspace_id, c.object_type, c.object_id, c.dirty, c.refetch_attempts)
        .where(c.dirty > c.clean, or_(c.refetch_after.is_(None), c.refetch_after <= now))
        .limit(limit)
    )
    with transaction(engine) as connection:
        return [Doubtful(*row) for row in connection.execute(query)]


def _ask(fetch: Fetch, item: Doubtful) -> Report | None:
    try:
        answer = fetch(item.workspace_id, item.object_type, item.object_id)
        return report(item.workspace_id, item.object_type, item.object_id, answer, item.dirty)
    except (TransientError, MalformedNotificationError) as error:
        error_name = type(error).__name__
        log.warning("refetch failed", object_type=item.object_type, object_id=item.object_id, error=error_name)
        return None


def _next_try(item: Doubtful, now: datetime) -> Update:
    """Set the pause before the next try; an object that is clean by now starts from the beginning."""
    c = object_states.c
    pause = min(FIRST_PAUSE * 2**item.refetch_attempts, LONGEST_PAUSE)
    attempts = item.refetch_attempts + 1
    key = (c.workspace_id, c.object_type, c.object_id)
    of_item = [column == value for column, value in zip(key, item, strict=False)]
    still = c.dirty > c.clean
    return update(object_states).where(*of_item).values(
        refetch_after=case((still, now + timedelta(seconds=pause)), else_=null()),
        refetch_attempts=case((still, attempts), else_=0),
    )  # fmt: skip
