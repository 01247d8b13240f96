"""
Write-through: what a response of Intercom shows is in the tables before the response is passed on.

It goes through the apply rule like everything else, so a response that is older than the tables changes nothing. No
failure here fails the call, which Intercom has already carried out: where SQL is unavailable, a refetch request goes
into the inbox, and the objects are fetched once SQL is back.
"""

import time
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
import structlog
from redis.exceptions import RedisError

from intercom_api.http.read_only import is_read_only
from intercom_api.http.replies import Reply
from models.apply import apply
from models.db.bulk import Key, lookup_column
from models.db.database_errors import is_database_unavailable
from models.db.engine import transaction
from models.rule.observations import Report
from models.tables.public_tables import ENTITIES
from workers.facts import from_api_call
from workers.facts.from_api_call import TypeAndId
from workers.inbox import refetch_requests
from workers.runtime.process_resources import engine, reader, redis

log = structlog.get_logger()

# Seconds for which SQL is not tried again after a failure, so that calls do not wait for it one by one.
_OUTAGE_SECONDS = 2.0

# Below every version, also below those of objects that are known only in part.
_NO_VERSION = -(2**63)


class _Outage:
    """Until when SQL is treated as unavailable, by `time.monotonic`."""

    until = 0.0


def write_through(workspace_id: str, method: str, path: str, reply: Reply) -> None:
    """
    Apply what a response shows of contacts, companies, tags, segments and links; never raises.

    1.  After a call that only reads, look up the versions that the tables hold of the objects shown, and leave out
        those that are not newer. On PostgreSQL a lookup of one row takes 0.3 ms (median, on the same machine).
    2.  Read the rest as reports.
    3.  After a call that only reads, leave out the tags and segments whose contents the tables already hold.
    4.  Apply what is left, in one transaction. If SQL is unavailable, request a refetch of the objects instead.

    Args:
        workspace_id: whose token made the call.
        method: of the call.
        path: of the call, quoted, beginning with a slash.
        reply: a successful response.
    """
    read_only = is_read_only(method, path)
    try:
        unchanged = _unchanged_objects(workspace_id, reply) if read_only else frozenset()
        reports = from_api_call.reports_from_reply(
            workspace_id, method, path, reply, time.time_ns() // 1_000_000, unchanged
        )
        if reports:
            _store_or_request_refetch(workspace_id, reports, read_only=read_only)
    except Exception as error:  # noqa: BLE001 -- the call itself succeeded; the next reconcile finds what is missing here
        log.error("response not written through", workspace_id=workspace_id, error=type(error).__name__)  # noqa: TRY400 -- a traceback may quote the response


def _unchanged_objects(workspace_id: str, reply: Reply) -> frozenset[TypeAndId]:
    """Return the objects in a response that the tables hold in the same version or a newer one."""
    versions = from_api_call.versions_in_reply(reply)
    if not versions or time.monotonic() < _Outage.until:
        return frozenset()
    try:
        stored = _stored_versions(workspace_id, versions)
    except Exception as error:
        if not is_database_unavailable(error):
            raise
        _begin_outage(workspace_id)
        return frozenset()
    return frozenset(key for key, version in versions.items() if stored.get(key, _NO_VERSION) >= version)


def _stored_versions(workspace_id: str, objects: Iterable[TypeAndId]) -> dict[TypeAndId, int]:
    ids: dict[str, list[Key]] = {}
    for object_type, object_id in sorted(objects):
        ids.setdefault(object_type, []).append((workspace_id, object_id))
    return {
        (object_type, object_id): version
        for object_type, keys in ids.items()
        for object_id, version in lookup_column(reader(), ENTITIES[object_type].table, "_version", keys).items()
    }


def _store_or_request_refetch(workspace_id: str, reports: Sequence[Report], *, read_only: bool) -> None:
    if time.monotonic() < _Outage.until:
        _request_refetch(workspace_id, reports)
        return
    try:
        changed = _without_unchanged_names(reports) if read_only else reports
        if changed:
            with transaction(engine()) as connection:
                apply(connection, changed, datetime.now(UTC))
    except Exception as error:
        _request_refetch(workspace_id, reports)
        if not is_database_unavailable(error):
            # The database rejected the contents. The refetch applies the objects one by one, and logs the bad one.
            raise
        _begin_outage(workspace_id)


def _without_unchanged_names(reports: Sequence[Report]) -> list[Report]:
    """Leave out tags and segments that are stored with the same contents; they have no version to compare."""
    keys: dict[str, set[Key]] = {"tag": set(), "segment": set()}
    for report in reports:
        if (observation := report.observations[0]).type in keys:
            keys[observation.type].add((report.workspace_id, observation.id))
    stored = {
        object_type: lookup_column(reader(), ENTITIES[object_type].table, "_raw", sorted(wanted))
        for object_type, wanted in keys.items()
        if wanted
    }
    return [report for report in reports if not _is_stored(report, stored)]


def _is_stored(report: Report, stored: dict[str, dict[str, Any]]) -> bool:
    observation = report.observations[0]
    raw = stored.get(observation.type, {}).get(observation.id)
    # SQLite returns JSON as text; PostgreSQL's driver has decoded it already.
    content = msgspec.json.decode(raw) if isinstance(raw, str) else raw
    return raw is not None and bool(observation.content == content)


def _begin_outage(workspace_id: str) -> None:
    _Outage.until = time.monotonic() + _OUTAGE_SECONDS
    log.warning("SQL is unavailable; the objects of a response will be refetched", workspace_id=workspace_id)


def _request_refetch(workspace_id: str, reports: Sequence[Report]) -> None:
    objects = {(observation.type, observation.id) for report in reports for observation in report.observations}
    try:
        refetch_requests.request_refetch(redis(), workspace_id, objects)
    except RedisError as error:
        log.warning(
            "refetch of a response's objects not requested", workspace_id=workspace_id, error=type(error).__name__
        )
