"""
Reading one's own writes: what an answer of Intercom's tells is in the tables before the answer is handed on.

It goes through the apply rule like everything else, so an answer that is overtaken by something newer changes nothing.
Nothing here fails a call that Intercom answered: where SQL is away, a note in the inbox has the objects fetched again.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from redis import Redis
from redis.exceptions import RedisError
from sqlalchemy import Engine

from intercom_api.http.read_only import is_read_only
from intercom_api.http.replies import Reply
from models.apply import apply
from models.db.bulk import Key, lookup_column
from models.db.engine import transaction
from models.db.errors import is_database_unavailable
from models.rule.observations import Report
from models.tables.public_tables import ENTITIES
from workers.facts import from_api_call
from workers.inbox import refetch_requests
from workers.runtime.process import engine, reader, redis

log = structlog.get_logger()

# Seconds in which SQL is not tried again after it was found away, so that calls are not held up one by one.
_AWAY_SECONDS = 2.0


class _Away:
    """Until when SQL is taken for away, in seconds of `time.monotonic`."""

    until = 0.0


class Glance:
    """
    What the tables hold of the object that a call asks for by its id, looked up while Intercom answers.

    It may be behind by the time of the answer. Then the object has a newer version, or is gone, by what came meanwhile.
    """

    def __init__(self, workspace_id: str, method: str, path: str) -> None:
        self._workspace_id = workspace_id
        self._asked_for = from_api_call.asked_for(method, path)
        # The version of each object that was looked up, below any other if there is no row.
        self.held: dict[from_api_call.TypeAndId, int] = {}

    def look(self) -> None:
        """Look it up; never raises."""
        if self._asked_for is None or time.monotonic() < _Away.until:
            return
        try:
            self.held = _versions(self._workspace_id, {self._asked_for})
        except Exception as error:  # noqa: BLE001 -- it is looked up once more when the answer is there
            log.warning("a look at the tables failed", workspace_id=self._workspace_id, error=type(error).__name__)


def write_through(workspace_id: str, method: str, path: str, reply: Reply, glance: Glance | None = None) -> None:
    """
    Apply what an answer tells of contacts, companies, tags and links; never raises.

    `glance`: what was looked up while the call was on its way.
    """
    try:
        known = _known(workspace_id, reply, glance) if is_read_only(method, path) else frozenset()
        found = from_api_call.reports_from_reply(workspace_id, method, path, reply, time.time_ns() // 1_000_000, known)
        if found:
            learn(workspace_id, found, asking=is_read_only(method, path))
    except Exception as error:  # noqa: BLE001 -- Intercom did what was wanted; reconcile finds what we failed to note
        log.error("an answer could not be learned from", workspace_id=workspace_id, error=type(error).__name__)  # noqa: TRY400 -- no traceback


def _known(workspace_id: str, reply: Reply, glance: Glance | None) -> frozenset[from_api_call.TypeAndId]:
    """Return the objects in an answer that the tables have in this version, or in a newer one."""
    versions = from_api_call.versions_in_reply(reply)
    held = dict(glance.held) if glance is not None else {}
    if (left := versions.keys() - held.keys()) and time.monotonic() >= _Away.until:
        try:
            held |= _versions(workspace_id, left)
        except Exception as error:
            if not is_database_unavailable(error):
                raise
            _note_absence(workspace_id)
    return frozenset(name for name, version in versions.items() if held.get(name, _NO_VERSION) >= version)


# Below every version, also of what is known in part only.
_NO_VERSION = -(2**63)


def _versions(workspace_id: str, names: Iterable[from_api_call.TypeAndId]) -> dict[from_api_call.TypeAndId, int]:
    held = dict.fromkeys(names, _NO_VERSION)
    for kind in {kind for kind, _ in held}:
        keys = sorted((workspace_id, object_id) for each, object_id in held if each == kind)
        found = lookup_column(reader(), ENTITIES[kind].table, "_version", keys)
        held.update(((kind, object_id), version) for object_id, version in found.items())
    return held


def _note_absence(workspace_id: str) -> None:
    _Away.until = time.monotonic() + _AWAY_SECONDS
    log.warning("SQL is away; an answer is noted in the inbox", workspace_id=workspace_id)


def learn(workspace_id: str, found: Sequence[Report], *, asking: bool) -> None:
    """Write reports, or leave a note about their objects where SQL is away."""
    if time.monotonic() < _Away.until:
        _note(redis(), workspace_id, found)
        return
    try:
        _write(engine(), reader(), found, asking=asking)
    except Exception as error:
        if not is_database_unavailable(error):
            # One that the database refuses is fetched, and looked at, by itself.
            _note(redis(), workspace_id, found)
            raise
        _note_absence(workspace_id)
        _note(redis(), workspace_id, found)


def _write(engine: Engine, reader: Engine, found: Sequence[Report], *, asking: bool) -> None:
    if asking:
        found = _news(reader, found)
    if found:
        with transaction(engine) as connection:
            apply(connection, found, datetime.now(UTC))


def _news(reader: Engine, found: Sequence[Report]) -> list[Report]:
    """Return the reports but those of tags and segments that are there already, which have no version to go by."""
    keys: dict[str, set[Key]] = {kind: set() for kind in ("tag", "segment")}
    for report in found:
        if (seen := report.observations[0]).type in keys:
            keys[seen.type].add((report.workspace_id, seen.id))
    known = {
        kind: lookup_column(reader, ENTITIES[kind].table, "_raw", sorted(names))
        for kind, names in keys.items()
        if names
    }
    return [report for report in found if not _is_held(report, known)]


def _is_held(report: Report, known: dict[str, dict[str, Any]]) -> bool:
    seen = report.observations[0]
    held = known.get(seen.type, {}).get(seen.id)
    # SQLite gives the JSON that PostgreSQL's driver reads.
    return held is not None and bool(seen.content == (msgspec.json.decode(held) if isinstance(held, str) else held))


def _note(redis: Redis, workspace_id: str, found: Sequence[Report]) -> None:
    try:
        refetch_requests.request_refetch(
            redis, workspace_id, {(seen.type, seen.id) for report in found for seen in report.observations}
        )
    except RedisError as error:
        log.warning("an answer could not be noted", workspace_id=workspace_id, error=type(error).__name__)
