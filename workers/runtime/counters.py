"""
The numbers behind /metrics, kept in one Redis hash so that all processes on all hosts add to the same ones.

A field of the hash is a name with its labels, written like a query string ("…_refused_total?reason=signature").
Histograms keep one field per bucket, each counting its own values only, and one for the sum.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlencode

from redis import Redis

from workers.runtime.redis_keys import COUNTERS

# Seconds. The first few resolve the goal for an idle system (15 ms), the last ones an outage.
_LAG_BUCKETS = (0.005, 0.01, 0.015, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
_COMMIT_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)
# Notifications per transaction; a drain reads a few hundred at most.
_BATCH_BUCKETS = (1.0, 2.0, 5.0, 10.0, 25.0, 50.0, 100.0, 250.0, 500.0, 1000.0)


@dataclass(frozen=True)
class Metric:
    """What a name means. `buckets` are the upper bounds of a histogram; a counter has none."""

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
    ACCEPTED: Metric("Notifications whose signature was right."),
    REFUSED: Metric("Requests to the webhook address that were not answered 200, by reason.", ("reason",)),
    APPENDED: Metric("Notifications that are on disk in the inbox; each of them was answered 200."),
    APPLIED: Metric("Notifications that were applied, by outcome and topic.", ("outcome", "topic")),
    IGNORED: Metric("Notifications of topics that are not mirrored, by topic.", ("topic",)),
    PARKED: Metric("Notifications that were given up and kept for a person."),
    PROBES: Metric("Small writes that asked whether a Redis that failed is back."),
    BATCH_SIZE: Metric("Notifications per transaction.", buckets=_BATCH_BUCKETS),
    COMMIT_SECONDS: Metric("Seconds that a batch's transaction took.", buckets=_COMMIT_BUCKETS),
    LAG_SECONDS: Metric("Seconds from a notification's arrival to its commit.", buckets=_LAG_BUCKETS),
}


class Adder(Protocol):
    """What counts are added to: a redis-py pipeline, or a `PendingCounts` that reaches Redis later."""

    def hincrby(self, name: str, key: str, amount: int = 1, /) -> Any:
        """Add to a field of a hash."""


class FloatAdder(Adder, Protocol):
    """What observed values are added to: a redis-py pipeline."""

    def hincrbyfloat(self, name: str, key: str, amount: float = 1.0, /) -> Any:
        """Add to a field of a hash."""


class PendingCounts:
    """Numbers of this process that are not in Redis yet."""

    def __init__(self) -> None:
        self._amounts: Counter[str] = Counter()

    def hincrby(self, name: str, key: str, amount: int = 1, /) -> None:  # noqa: ARG002 -- redis-py's signature
        """Remember what to add; there is only one hash."""
        self._amounts[key] += amount

    def __bool__(self) -> bool:
        return bool(self._amounts)

    def take(self) -> list[tuple[str, int]]:
        """Hand over the numbers, and start again from nothing."""
        taken = list(self._amounts.items())
        self._amounts.clear()
        return taken

    def restore(self, amounts: Iterable[tuple[str, int]]) -> None:
        """Put back what was taken but did not reach Redis."""
        for field, amount in amounts:
            self._amounts[field] += amount


def field(name: str, **labels: str) -> str:
    """Name one number of the hash; `labels` are those that METRICS lists."""
    return f"{name}?{urlencode(sorted(labels.items()))}" if labels else name


def count(adder: Adder, name: str, amount: int = 1, **labels: str) -> None:
    """Add to a counter."""
    adder.hincrby(COUNTERS, field(name, **labels), amount)


def observe(adder: FloatAdder, name: str, value: float) -> None:
    """Add one value to a histogram."""
    observe_many(adder, name, (value,))


def observe_many(adder: FloatAdder, name: str, values: Iterable[float]) -> None:
    """Add values to a histogram: one command per bucket that they fall into, and one for their sum."""
    bounds = METRICS[name].buckets
    total = 0.0
    fallen: Counter[int] = Counter()
    for value in values:
        fallen[bisect_left(bounds, value)] += 1
        total += value
    for index, amount in fallen.items():
        adder.hincrby(COUNTERS, field(name, le=bucket_label(bounds, index)), amount)
    if fallen:
        adder.hincrbyfloat(COUNTERS, sum_field(name), total)


def sum_field(name: str) -> str:
    """Name the field that holds the sum of a histogram's values."""
    return f"{name}?sum"


def bucket_label(bounds: tuple[float, ...], index: int) -> str:
    """Write the upper bound of a bucket as Prometheus does; the last one has none."""
    return str(bounds[index]) if index < len(bounds) else "+Inf"


def read(redis: Redis) -> dict[str, float]:
    """Return every number of the hash by its field; a number that was never added to is absent."""
    raw: Any = redis.hgetall(COUNTERS)
    return {_text(name): float(value) for name, value in raw.items()}


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value
