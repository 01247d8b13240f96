"""What a drained batch adds to the numbers behind /metrics."""

import time
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from models.rule.observations import Report
from workers.inbox.parking import ParkReason
from workers.inbox.reader import InboxEntry
from workers.runtime.counters import (
    APPLIED,
    BATCH_SIZE,
    COMMIT_SECONDS,
    IGNORED,
    LAG_SECONDS,
    PARKED,
    FloatAdder,
    count,
    observe,
    observe_many,
)

# Topics that are told apart in /metrics; a sender of made-up topics must not make a number for each.
_LONGEST_TOPIC = 60


class BatchResult(NamedTuple):
    """
    What became of a batch.

    `reports` and their `outcomes` go together; `ignored` are topics that are not mirrored; `unreadable` is what was
    parked; `seconds` is what the transaction took.
    """

    entries: Sequence[InboxEntry]
    reports: Sequence[Report]
    outcomes: Sequence[str]
    ignored: Sequence[str]
    unreadable: Sequence[tuple[InboxEntry, ParkReason]]
    seconds: float


def count_batch(pipeline: FloatAdder, handled: BatchResult) -> None:
    """Add a batch's numbers to a pipeline of Redis."""
    entries, reports, outcomes, ignored, unreadable, seconds = handled
    told = [
        (report.notification.topic, outcome)
        for report, outcome in zip(reports, outcomes, strict=True)
        if report.notification
    ]
    for (topic, outcome), amount in Counter(told).items():
        count(pipeline, APPLIED, amount, outcome=outcome, topic=topic)
    for topic, amount in Counter(ignored).items():
        count(pipeline, IGNORED, amount, topic=topic[:_LONGEST_TOPIC])
    if unreadable:
        count(pipeline, PARKED, len(unreadable))
    if reports:
        observe(pipeline, BATCH_SIZE, len(reports))
        observe(pipeline, COMMIT_SECONDS, seconds)
    now_ms = time.time() * 1000
    observe_many(pipeline, LAG_SECONDS, ((now_ms - entry.received_at) / 1000 for entry in entries))
