"""
Reading one's own writes: what an answer of Intercom's tells is in the tables before the answer is handed on.

It goes through the apply rule like everything else, so an answer that is overtaken by something newer changes nothing.
Nothing here fails a call that Intercom answered: where SQL is away, a note in the inbox has the objects fetched again.
"""

import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from intercom_api.answers import Reply
from models.apply import apply
from models.bulk import Key, look_up
from models.engine import transaction
from models.errors import database_is_away
from models.mirror import ENTITIES
from models.observations import Report
from workers import told
from workers.inbox import notes
from workers.process import engine, reader, redis

log = structlog.get_logger()

# Seconds in which SQL is not tried again after it was found away, so that calls are not held up one by one.
_AWAY_SECONDS = 2.0


class _Away:
    """Until when SQL is taken for away, in seconds of `time.monotonic`."""

    until = 0.0


def write_through(workspace_id: str, method: str, path: str, reply: Reply) -> None:
    """Apply what an answer tells of contacts, companies, tags and links; never raises."""
    try:
        found = told.reports(workspace_id, method, path, reply, time.time_ns() // 1_000_000)
        if found:
            learn(workspace_id, found, asking=told.asks(method, path))
    except Exception as error:  # noqa: BLE001 -- Intercom did what was wanted; reconcile finds what we failed to note
        log.error("an answer could not be learned from", workspace_id=workspace_id, error=type(error).__name__)  # noqa: TRY400 -- no traceback


def learn(workspace_id: str, found: Sequence[Report], *, asking: bool) -> None:
    """Write reports, or leave a note about their objects where SQL is away."""
    if time.monotonic() < _Away.until:
        _note(redis(), workspace_id, found)
        return
    try:
        _write(engine(), reader(), found, asking=asking)
    except Exception as error:
        if not database_is_away(error):
            # One that the database refuses is fetched, and looked at, by itself.
            _note(redis(), workspace_id, found)
            raise
        _Away.until = time.monotonic() + _AWAY_SECONDS
        log.warning("SQL is away; an answer is noted in the inbox", workspace_id=workspace_id)
        _note(redis(), workspace_id, found)


def _write(engine: Engine, reader: Engine, found: Sequence[Report], *, asking: bool) -> None:
    if asking:
        found = _news(reader, found)
    if found:
        with transaction(engine) as connection:
            apply(connection, found, datetime.now(UTC))


def _news(reader: Engine, found: Sequence[Report]) -> list[Report]:
    """Return the reports that may say something new; the others are of a version that is there already."""
    keys: dict[str, set[Key]] = {}
    for report in found:
        seen = report.observations[0]
        keys.setdefault(seen.type, set()).add((report.workspace_id, seen.id))
    known = {
        kind: look_up(reader, ENTITIES[kind].table, _TELLING[kind], sorted(wanted)) for kind, wanted in keys.items()
    }
    return [report for report in found if not _is_known(report, known)]


# The column that tells whether an object is known already: what has no version is compared whole.
_TELLING = {"contact": "_version", "company": "_version", "tag": "_raw", "segment": "_raw"}


def _is_known(report: Report, known: dict[str, dict[str, Any]]) -> bool:
    seen = report.observations[0]
    if seen.content is None or seen.version is None or len(report.observations) > 1:
        return False
    held = known[seen.type].get(seen.id)
    if held is None:
        return False
    if _TELLING[seen.type] == "_version":
        return "updated_at" in seen.content and int(held) >= seen.version.second
    # SQLite gives the JSON that PostgreSQL's driver reads.
    return bool(seen.content == (msgspec.json.decode(held) if isinstance(held, str) else held))


def _note(redis: Redis, workspace_id: str, found: Sequence[Report]) -> None:
    try:
        notes.leave(redis, workspace_id, {(seen.type, seen.id) for report in found for seen in report.observations})
    except RedisError as error:
        log.warning("an answer could not be noted", workspace_id=workspace_id, error=type(error).__name__)
