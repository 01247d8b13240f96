"""
The metrics behind /metrics, in one Redis hash, so that all processes on all hosts add to the same numbers.

A field of the hash is a metric's name with its labels, like a query string ("…_refused_total?reason=signature").
A histogram has one field per bucket, each for its own values only, and one for the sum of all values.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from redis import Redis

from workers.runtime.redis_keys import COUNTERS

# Upper bounds in seconds. The first few resolve the goal for an idle system (15 ms), the last ones an outage.
_LAG_BUCKETS = (0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
# Notifications per transaction; a drain reads 500 at most.
_BATCH_BUCKETS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)


@dataclass(frozen=True)
class Metric:
    """A metric. `buckets` are the upper bounds of a histogram; a counter has none."""

    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


ACCEPTED = "intercom_mirror_accepted_total"
REFUSED = "intercom_mirror_refused_total"
APPENDED = "intercom_mirror_appended_total"
APPLIED = "intercom_mirror_applied_total"
IGNORED = "intercom_mirror_ignored_total"
PARKED = "intercom_mirror_parked_total"
BATCH_SIZE = "intercom_mirror_batch_size"
COMMIT_SECONDS = "intercom_mirror_commit_seconds"
LAG_SECONDS = "intercom_mirror_lag_seconds"
PROBES = "intercom_mirror_probes_total"

METRICS: dict[str, Metric] = {
    ACCEPTED: Metric("Notifications with a valid signature."),
    REFUSED: Metric("Requests to the webhook address that got another response than 200, by reason.", ("reason",)),
    APPENDED: Metric("Notifications that are on disk in the inbox; each of them got a 200."),
    APPLIED: Metric("Notifications that were applied, by outcome and topic.", ("outcome", "topic")),
    IGNORED: Metric("Notifications of topics that are not mirrored, by topic.", ("topic",)),
    PARKED: Metric("Notifications that were parked for an operator."),
    PROBES: Metric("Small writes that test whether Redis works again after a failure."),
    BATCH_SIZE: Metric("Notifications per transaction.", buckets=_BATCH_BUCKETS),
    COMMIT_SECONDS: Metric("Duration of a batch's transaction in seconds.", buckets=_COMMIT_BUCKETS),
    LAG_SECONDS: Metric("Seconds from the arrival of a notification to its commit.", buckets=_LAG_BUCKETS),
}


class CounterSink(Protocol):
    """What counts are added to: a redis-py pipeline, or `PendingCounts`."""

    def hincrby(self, name: str, key: str, amount: int = 1, /) -> Any:
        """Add to a field of a hash."""


class HistogramSink(CounterSink, Protocol):
    """What observed values are added to: a redis-py pipeline."""

    def hincrbyfloat(self, name: str, key: str, amount: float = 1.0, /) -> Any:
        """Add to a field of a hash."""


class PendingCounts:
    """Counts of this process that are not in Redis yet."""

    def __init__(self) -> None:
        self._amounts: Counter[str] = Counter()

    def hincrby(self, name: str, key: str, amount: int = 1, /) -> None:  # noqa: ARG002 -- redis-py's signature
        """Add to a field; `name` is ignored, because there is only one hash."""
        self._amounts[key] += amount

    def __bool__(self) -> bool:
        return bool(self._amounts)

    def take(self) -> list[tuple[str, int]]:
        """Return the counts as (field, amount), and start again from zero."""
        taken = list(self._amounts.items())
        self._amounts.clear()
        return taken

    def restore(self, counts: Iterable[tuple[str, int]]) -> None:
        """Add counts that were taken but did not reach Redis."""
        for field, amount in counts:
            self._amounts[field] += amount


def field(name: str, **labels: str) -> str:
    """Return the field of the hash for a metric and its labels, which are those that METRICS lists."""
    return f"{name}?{urlencode(sorted(labels.items()))}" if labels else name


def count(sink: CounterSink, name: str, amount: int = 1, **labels: str) -> None:
    """Add to a counter."""
    sink.hincrby(COUNTERS, field(name, **labels), amount)


def observe(sink: HistogramSink, name: str, value: float) -> None:
    """Add one value to a histogram."""
    observe_many(sink, name, (value,))


def observe_many(sink: HistogramSink, name: str, values: Iterable[float]) -> None:
    """Add values to a histogram: one command per bucket that gets any, and one for their sum."""
    bounds = METRICS[name].buckets
    total = 0.0
    per_bucket: Counter[int] = Counter()
    for value in values:
        per_bucket[bisect_left(bounds, value)] += 1
        total += value
    for index, amount in per_bucket.items():
        sink.hincrby(COUNTERS, field(name, le=bucket_label(bounds, index)), amount)
    if per_bucket:
        sink.hincrbyfloat(COUNTERS, sum_field(name), total)


def sum_field(name: str) -> str:
    """Return the field that holds the sum of a histogram's values."""
    return f"{name}?sum"


def bucket_label(bounds: tuple[float, ...], index: int) -> str:
    """Return the upper bound of a bucket as Prometheus writes it; the last bucket is unbounded."""
    return str(bounds[index]) if index < len(bounds) else "+Inf"


def read(redis: Redis) -> dict[str, float]:
    """Return all numbers by field. A number that nothing was ever added to is absent."""
    raw: Any = redis.hgetall(COUNTERS)
    return {_text(name): float(value) for name, value in raw.items()}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
