"""The numbers behind /metrics."""

from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from webhooks.app import create_app
from workers.runtime import counters
from workers.runtime.counters import LAG_SECONDS, REFUSED, PendingCounts


def test_counters_of_several_processes_add_up(redis_url: str) -> None:
    """Two processes that add to one name find the sum, labels apart."""
    with Redis.from_url(redis_url) as client:
        for _ in range(2):
            counters.count(client, counters.ACCEPTED, 3)
            counters.count(client, REFUSED, reason="signature")
        counters.count(client, REFUSED, reason="a&b=c d?é")
        assert counters.read(client) == {
            counters.ACCEPTED: 6.0,
            counters.field(REFUSED, reason="signature"): 2.0,
            counters.field(REFUSED, reason="a&b=c d?é"): 1.0,
        }


def test_a_value_on_a_bound_belongs_to_its_bucket(redis_url: str) -> None:
    """Buckets are "less than or equal", as Prometheus has them."""
    with Redis.from_url(redis_url) as client:
        counters.observe_many(client, LAG_SECONDS, [0.005, 0.0051, 700.0])
        assert counters.read(client) == {
            counters.field(LAG_SECONDS, le="0.005"): 1.0,
            counters.field(LAG_SECONDS, le="0.01"): 1.0,
            counters.field(LAG_SECONDS, le="+Inf"): 1.0,
            counters.sum_field(LAG_SECONDS): 700.0101,
        }


def test_observing_nothing_writes_nothing(redis_url: str) -> None:
    """An empty batch leaves no zero behind."""
    with Redis.from_url(redis_url) as client:
        counters.observe_many(client, LAG_SECONDS, [])
        assert counters.read(client) == {}


def test_what_did_not_reach_redis_is_given_back() -> None:
    """Numbers taken for a batch that failed are added to those that came meanwhile."""
    pending_counts = PendingCounts()
    counters.count(pending_counts, counters.ACCEPTED, 2)
    taken = pending_counts.take()
    assert not pending_counts
    counters.count(pending_counts, counters.ACCEPTED)
    pending_counts.restore(taken)
    assert pending_counts.take() == [(counters.ACCEPTED, 3)]


def test_the_page_is_what_prometheus_reads(app_redis_url: str) -> None:
    """Every metric is there with its labels and cumulative buckets, and Prometheus's own parser understands it."""
    with Redis.from_url(app_redis_url) as client:
        counters.count(client, REFUSED, 2, reason='quote " and \\')
        counters.observe_many(client, LAG_SECONDS, [0.001, 0.02, 1000.0])
        client.xadd("intercom-mirror:inbox", {"b": "{}", "t": "0"})
    answer = create_app().test_client().get("/metrics")
    assert answer.status_code == 200
    families = {family.name: family for family in text_string_to_metric_families(answer.text)}
    [refused] = families["intercom_mirror_refused"].samples
    assert (refused.labels, refused.value) == ({"reason": 'quote " and \\'}, 2.0)
    lag = {sample.labels.get("le", sample.name): sample.value for sample in families[LAG_SECONDS].samples}
    assert (lag["0.005"], lag["0.015"], lag["0.025"], lag["+Inf"]) == (1.0, 1.0, 2.0, 3.0)
    assert lag[f"{LAG_SECONDS}_count"] == 3.0
    assert families["intercom_mirror_inbox_depth"].samples[0].value == 1.0
    assert families["intercom_mirror_accepted"].samples[0].value == 0.0
