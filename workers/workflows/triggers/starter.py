"""
From lines of the feed to runs: each line is looked at once, and each workflow started once by it at most.

What is read needs no lock. The rows of new runs and the place in the feed are written in one transaction; where two
processes read the same lines, each run is still there once.
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
from workers.workflows.files import ActiveWorkflow
from workers.workflows.rows import insert_new
from workers.workflows.triggers import own_changes, records
from workers.workflows.triggers.matching import TriggerChange, may_start, starts
from workers.workflows.triggers.own_changes import Effect
from workers.workflows.triggers.records import RecordKey

log = structlog.get_logger()

# Lines of the feed that are looked at in one go: some milliseconds, and a short transaction.
BATCH = 500

# What the feed knows us by.
CONSUMER = "workflows"


class Told(NamedTuple):
    """A line of the feed and its moment in unix seconds."""

    line: TriggerChange
    at: float


class Candidate(NamedTuple):
    """A line that one workflow may be started by."""

    told: Told
    workflow: ActiveWorkflow


def start(reader: Engine, writer: Engine, workflows: Sequence[ActiveWorkflow], now: datetime) -> bool:
    """
    Look at the next lines of the feed; returns whether there may be more.

    Args:
        reader: engine for reading.
        writer: engine for writing.
        workflows: that are in force.
        now: the time.
    """
    if not workflows:
        return False
    with reader.connect() as connection:
        begin = max(change_feed.consumer_position(connection, CONSUMER) or 0, min(each.since_seq for each in workflows))
        told = _lines(connection, begin)
        runs = _runs(connection, _candidates(told, workflows), now) if told else []
    if not told:
        return False
    with transaction(writer) as connection:
        if not change_feed.advance_consumer(connection, CONSUMER, told[-1].line.seq, now):
            return True
        insert_new(connection, workflow_runs, runs)
    if runs:
        log.info("runs were started", lines=len(told), runs=len(runs))
    return len(told) == BATCH


def _lines(connection: Connection, seq: int) -> list[Told]:
    return [
        Told(
            TriggerChange(
                each.seq,
                each.workspace_id,
                each.object_type,
                each.object_id,
                each.op,
                tuple(each.changed_fields or ()),
                each.source,
            ),
            each.at.timestamp(),
        )
        for each in change_feed.changes_after(connection, seq, BATCH, types=("contact", "company"))
    ]


def _candidates(told: Sequence[Told], workflows: Sequence[ActiveWorkflow]) -> list[Candidate]:
    return [
        Candidate(each, one)
        for each in told
        for one in workflows
        if each.line.seq > one.since_seq and may_start(one.workflow.trigger, each.line)
    ]


def address(line: TriggerChange) -> RecordKey:
    """Return whose line it is."""
    return RecordKey(line.workspace_id, line.object_type, line.object_id)


def _runs(connection: Connection, candidates: Sequence[Candidate], now: datetime) -> list[dict[str, Any]]:
    if not candidates:
        return []
    found = records.read(connection, list({address(each.told.line) for each in candidates}))
    since = _connected_since(connection)
    rows = []
    for told, one in candidates:
        # What is gone again cannot be greeted.
        record = found.get(address(told.line))
        connected = since.get(told.line.workspace_id)
        if record is not None and starts(one.workflow.trigger, told.line, record, connected):
            verdict = "foreign"
            if not one.workflow.trigger.own_changes:
                effects = effects_of(connection, one.workflow.name, told.line)
                verdict = own_changes.classify(told.line, told.at, record, effects)
            if verdict != "own":
                rows.append(_row(told, one, record, "held" if verdict == "open" else "queued", now))
    return rows


def _connected_since(connection: Connection) -> dict[str, int]:
    c = connections.c
    query = (
        select(c.workspace_id, func.min(c.connected_at).label("since"))
        .where(c.status == CONNECTED)
        .group_by(c.workspace_id)
    )
    return {row.workspace_id: int(row.since.timestamp()) for row in connection.execute(query)}


def effects_of(connection: Connection, workflow: str, line: TriggerChange) -> list[Effect]:
    """Return what the steps of a workflow changed of a line's object, and what they may be changing now."""
    e = workflow_effects.c
    query = select(
        e.workflow, e.workspace_id, e.object_type, e.object_id, e.version, e.is_message, e.started_at, e.ended_at
    ).where(
        e.workflow == workflow,
        e.workspace_id == line.workspace_id,
        (e.object_id == line.object_id) | e.object_id.is_(None),
    )
    return [
        Effect(*row[:6], row.started_at.timestamp(), None if row.ended_at is None else row.ended_at.timestamp())
        for row in connection.execute(query)
    ]


def _row(told: Told, one: ActiveWorkflow, record: dict[str, Any], state: str, now: datetime) -> dict[str, Any]:
    line = told.line
    return {
        "workflow": one.workflow.name,
        "digest": one.digest,
        "workspace_id": line.workspace_id,
        "object_type": line.object_type,
        "object_id": line.object_id,
        "change_seq": line.seq,
        "state": state,
        "due_at": now,
        "change": change(line, told.at),
        "record": record,
        "started_at": now,
    }


def change(line: TriggerChange, at: float) -> dict[str, Any]:
    """Return what templates see of a line."""
    return {
        "seq": line.seq,
        "object_type": line.object_type,
        "object_id": line.object_id,
        "op": line.op,
        "changed_fields": list(line.changed_fields),
        "source": line.source,
        "at": int(at),
    }


def settle_held(reader: Engine, writer: Engine, now: datetime) -> int:
    """Let those runs go that were held and are no doing of their workflow's own; returns how many."""
    r = workflow_runs.c
    query = select(r.id, r.workflow, r.workspace_id, r.change, r.record).where(r.state == "held").order_by(r.id)
    verdicts: dict[str, list[int]] = {"own": [], "foreign": [], "open": []}
    with reader.connect() as connection:
        for row in connection.execute(query.limit(BATCH)).all():
            line = _line(row.workspace_id, row.change)
            effects = effects_of(connection, row.workflow, line)
            verdicts[own_changes.classify(line, float(row.change["at"]), row.record, effects)].append(row.id)
    if verdicts["own"] or verdicts["foreign"]:
        with transaction(writer) as connection:
            _set(connection, verdicts["own"], {"state": "ignored", "ended_at": now})
            _set(connection, verdicts["foreign"], {"state": "queued", "due_at": now})
    return len(verdicts["foreign"])


def _set(connection: Connection, ids: list[int], values: dict[str, Any]) -> None:
    if ids:
        r = workflow_runs.c
        connection.execute(update(workflow_runs).where(r.id.in_(ids), r.state == "held").values(**values))


def _line(workspace_id: str, said: dict[str, Any]) -> TriggerChange:
    return TriggerChange(
        said["seq"],
        workspace_id,
        said["object_type"],
        said["object_id"],
        said["op"],
        tuple(said["changed_fields"]),
        said["source"],
    )
