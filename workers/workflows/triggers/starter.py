"""
The trigger starter: from changes in the feed to runs.

Each change is read once, and starts each workflow at most once: a run is unique by workflow and change. So two
processes may read the same changes.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from sqlalchemy import Connection, Engine, func, select, update

from models.db.engine import transaction
from models.queries import change_feed
from models.queries.connection_rows import CONNECTED
from models.tables.internal_tables import connections
from models.tables.workflow_tables import workflow_effects, workflow_runs
from workers.workflows.engine.run_store import insert_new
from workers.workflows.files import ActiveWorkflow
from workers.workflows.triggers import own_changes, records
from workers.workflows.triggers.matching import TriggerChange, may_start, starts
from workers.workflows.triggers.own_changes import Effect
from workers.workflows.triggers.records import RecordKey

log = structlog.get_logger()

# Changes read at a time: some milliseconds, and a short transaction.
BATCH = 500

# The name of the position in the feed.
CONSUMER = "workflows"


class Candidate(NamedTuple):
    """A change that may start a workflow; `at` is its time in unix seconds."""

    change: TriggerChange
    at: float
    workflow: ActiveWorkflow


def start_runs(reader: Engine, writer: Engine, workflows: Sequence[ActiveWorkflow], now: datetime) -> bool:
    """
    Start what the next changes of the feed start.

    1. Read the next BATCH changes after our position, and not before the oldest workflow's own start.
    2. For each change and workflow, keep the pairs whose trigger may match (`may_start`).
    3. Read the objects of these pairs, when their workspaces were connected, and the effects of the workflows' own
       steps. Keep the pairs that start a run (`starts`). A deleted object starts nothing.
    4. Classify each: a change that the workflow made itself starts nothing; one that a step in progress may have made
       becomes a run in state `held`; any other a run in state `queued`.
    5. In one transaction, move the position past the changes and insert the runs. If another process has moved the
       position as far, insert nothing.

    Steps 1 to 4 only read and take no locks.

    Args:
        reader: engine for reading.
        writer: engine for writing.
        workflows: that may be started.
        now: the time.

    Returns:
        Whether there may be more changes.
    """
    if not workflows:
        return False
    with reader.connect() as connection:
        position = change_feed.consumer_position(connection, CONSUMER) or 0
        first = max(position, min(each.since_seq for each in workflows))
        changes = change_feed.changes_after(connection, first, BATCH, types=("contact", "company"))
        runs = _run_rows(connection, _candidates(changes, workflows), now)
    if not changes:
        return False
    with transaction(writer) as connection:
        if not change_feed.advance_consumer(connection, CONSUMER, changes[-1].seq, now):
            return True
        insert_new(connection, workflow_runs, runs)
    if runs:
        log.info("workflow runs started", lines=len(changes), runs=len(runs))
    return len(changes) == BATCH


def _candidates(changes: Sequence[change_feed.FeedChange], workflows: Sequence[ActiveWorkflow]) -> list[Candidate]:
    candidates = []
    for each in changes:
        change = TriggerChange(
            each.seq,
            each.workspace_id,
            each.object_type,
            each.object_id,
            each.op,
            tuple(each.changed_fields or ()),
            each.source,
        )
        candidates += [
            Candidate(change, each.at.timestamp(), active)
            for active in workflows
            if change.seq > active.since_seq and may_start(active.workflow.trigger, change)
        ]
    return candidates


def _record_key(change: TriggerChange) -> RecordKey:
    return RecordKey(change.workspace_id, change.object_type, change.object_id)


def _run_rows(connection: Connection, candidates: Sequence[Candidate], now: datetime) -> list[dict[str, Any]]:
    if not candidates:
        return []
    found = records.read(connection, list({_record_key(each.change) for each in candidates}))
    connected_at = _connection_times(connection)
    rows = []
    for candidate in candidates:
        change, workflow = candidate.change, candidate.workflow.workflow
        record = found.get(_record_key(change))
        if record is None or not starts(workflow.trigger, change, record, connected_at.get(change.workspace_id)):
            continue
        verdict = "foreign"
        if not workflow.trigger.own_changes:
            effects = _effects(connection, workflow.name, change)
            verdict = own_changes.classify(change, candidate.at, record, effects)
        if verdict != "own":
            rows.append(_run_row(candidate, record, "held" if verdict == "open" else "queued", now))
    return rows


def _connection_times(connection: Connection) -> dict[str, int]:
    """Return since when each connected workspace is connected, in unix seconds."""
    c = connections.c
    query = (
        select(c.workspace_id, func.min(c.connected_at).label("since"))
        .where(c.status == CONNECTED)
        .group_by(c.workspace_id)
    )
    return {row.workspace_id: int(row.since.timestamp()) for row in connection.execute(query)}


def _effects(connection: Connection, workflow: str, change: TriggerChange) -> list[Effect]:
    """Return the effects of a workflow's steps on the object of a change, and those on objects not known yet."""
    e = workflow_effects.c
    query = select(
        e.workflow, e.workspace_id, e.object_type, e.object_id, e.version, e.is_message, e.started_at, e.ended_at
    ).where(
        e.workflow == workflow,
        e.workspace_id == change.workspace_id,
        (e.object_id == change.object_id) | e.object_id.is_(None),
    )
    return [
        Effect(*row[:6], row.started_at.timestamp(), None if row.ended_at is None else row.ended_at.timestamp())
        for row in connection.execute(query)
    ]


def _run_row(candidate: Candidate, record: dict[str, Any], state: str, now: datetime) -> dict[str, Any]:
    change = candidate.change
    return {
        "workflow": candidate.workflow.workflow.name,
        "digest": candidate.workflow.digest,
        "workspace_id": change.workspace_id,
        "object_type": change.object_type,
        "object_id": change.object_id,
        "change_seq": change.seq,
        "state": state,
        "due_at": now,
        "change": _stored_change(candidate),
        "record": record,
        "started_at": now,
    }


def _stored_change(candidate: Candidate) -> dict[str, Any]:
    """Return the change as it is stored with the run and as templates see it."""
    change = candidate.change
    return {
        "seq": change.seq,
        "object_type": change.object_type,
        "object_id": change.object_id,
        "op": change.op,
        "changed_fields": list(change.changed_fields),
        "source": change.source,
        "at": int(candidate.at),
    }


def release_held_runs(reader: Engine, writer: Engine, now: datetime) -> int:
    """
    Classify the changes of held runs again, now that steps may have ended.

    A run whose change was the workflow's own becomes `ignored`, any other that is decided becomes `queued`.

    Returns:
        How many became queued.
    """
    r = workflow_runs.c
    query = select(r.id, r.workflow, r.workspace_id, r.change, r.record).where(r.state == "held").order_by(r.id)
    verdicts: dict[str, list[int]] = {"own": [], "foreign": [], "open": []}
    with reader.connect() as connection:
        for row in connection.execute(query.limit(BATCH)).all():
            change = _restored_change(row.workspace_id, row.change)
            effects = _effects(connection, row.workflow, change)
            verdicts[own_changes.classify(change, float(row.change["at"]), row.record, effects)].append(row.id)
    if verdicts["own"] or verdicts["foreign"]:
        with transaction(writer) as connection:
            _update_held(connection, verdicts["own"], {"state": "ignored", "ended_at": now})
            _update_held(connection, verdicts["foreign"], {"state": "queued", "due_at": now})
    return len(verdicts["foreign"])


def _update_held(connection: Connection, ids: list[int], values: dict[str, Any]) -> None:
    if ids:
        r = workflow_runs.c
        connection.execute(update(workflow_runs).where(r.id.in_(ids), r.state == "held").values(**values))


def _restored_change(workspace_id: str, stored: dict[str, Any]) -> TriggerChange:
    return TriggerChange(
        stored["seq"],
        workspace_id,
        stored["object_type"],
        stored["object_id"],
        stored["op"],
        tuple(stored["changed_fields"]),
        stored["source"],
    )
