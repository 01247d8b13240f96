"""The counters of all processes in the Prometheus text format."""

from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl

from flask import Blueprint, Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from redis import Redis
from redis.exceptions import RedisError

from settings import get_settings
from workers.inbox.backlog import Backlog, measure_backlog
from workers.runtime import counters
from workers.runtime.redis_clients import blocking_client

metrics = Blueprint("metrics", __name__)


@metrics.get("/metrics")
def show_metrics() -> Response:
    """Return the counters; 503 while Redis, which stores them, is unreachable."""
    try:
        numbers, waiting = counters.read(_redis()), measure_backlog(_redis())
    except RedisError:
        return Response("Redis, which stores the metrics, is unreachable.\n", 503, mimetype="text/plain")
    registry = CollectorRegistry()
    registry.register(_Snapshot(numbers, waiting))
    return Response(generate_latest(registry), content_type=CONTENT_TYPE_LATEST)


class _Snapshot(Collector):
    """One reading of the counters and the inbox."""

    def __init__(self, numbers: Mapping[str, float], waiting: Backlog) -> None:
        self._numbers = numbers
        self._waiting = waiting

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        yield GaugeMetricFamily(
            "intercom_mirror_inbox_depth", "Notifications waiting in the inbox.", self._waiting.depth
        )
        yield GaugeMetricFamily(
            "intercom_mirror_inbox_oldest_age_seconds",
            "Seconds for which the oldest notification in the inbox has been waiting.",
            self._waiting.oldest_seconds,
        )
        for name, metric in counters.METRICS.items():
            yield _histogram(name, metric, self._numbers) if metric.buckets else _counter(name, metric, self._numbers)


def _counter(name: str, metric: counters.Metric, numbers: Mapping[str, float]) -> Metric:
    family = CounterMetricFamily(name, metric.help, labels=metric.labels)
    if not metric.labels:
        # A counter that was never incremented is 0; with labels, the values that will occur are unknown.
        family.add_metric([], numbers.get(name, 0.0))
        return family
    for field, value in numbers.items():
        base, _, query = field.partition("?")
        if base == name:
            labels = dict(parse_qsl(query))
            family.add_metric([labels.get(label, "") for label in metric.labels], value)
    return family


def _histogram(name: str, metric: counters.Metric, numbers: Mapping[str, float]) -> Metric:
    cumulative = 0.0
    buckets = []
    for index in range(len(metric.buckets) + 1):
        bound = counters.bucket_label(metric.buckets, index)
        cumulative += numbers.get(counters.field(name, le=bound), 0.0)
        buckets.append((bound, cumulative))
    return HistogramMetricFamily(
        name, metric.help, buckets=buckets, sum_value=numbers.get(counters.sum_field(name), 0.0)
    )


def _redis() -> Redis:
    return blocking_client(get_settings().redis_url)
