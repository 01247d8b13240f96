"""The metrics behind /metrics."""

from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from webhooks.app import create_app
from workers.runtime import counters
from workers.runtime.counters import LAG_SECONDS, REFUSED, PendingCounts


def test_counters_of_several_processes_add_up(redis_url: str) -> None:
    """Each combination of labels has a sum of its own."""
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
    """Buckets are "less than or equal", as in Prometheus."""
    with Redis.from_url(redis_url) as client:
        counters.observe_many(client, LAG_SECONDS, [0.005, 0.0051, 700.0])
        assert counters.read(client) == {
            counters.field(LAG_SECONDS, le="0.005"): 1.0,
            counters.field(LAG_SECONDS, le="0.01"): 1.0,
            counters.field(LAG_SECONDS, le="+Inf"): 1.0,
            counters.sum_field(LAG_SECONDS): 700.0101,
        }


def test_observing_nothing_writes_nothing(redis_url: str) -> None:
    """An empty batch adds no zero."""
    with Redis.from_url(redis_url) as client:
        counters.observe_many(client, LAG_SECONDS, [])
        assert counters.read(client) == {}


def test_counts_that_did_not_reach_redis_are_restored() -> None:
    """The counts of a failed batch are added to later ones."""
    pending_counts = PendingCounts()
    counters.count(pending_counts, counters.ACCEPTED, 2)
    taken = pending_counts.take()
    assert not pending_counts
    counters.count(pending_counts, counters.ACCEPTED)
    pending_counts.restore(taken)
    assert pending_counts.take() == [(counters.ACCEPTED, 3)]


def test_prometheus_can_parse_the_page(app_redis_url: str) -> None:
    """Every metric has its labels and cumulative buckets."""
    with Redis.from_url(app_redis_url) as client:
        counters.count(client, REFUSED, 2, reason='quote " and \\')
        counters.observe_many(client, LAG_SECONDS, [0.001, 0.02, 1000.0])
        client.xadd("intercom-mirror:inbox", {"b": "{}", "t": "0"})
    response = create_app().test_client().get("/metrics")
    assert response.status_code == 200
    families = {family.name: family for family in text_string_to_metric_families(response.text)}
    [refused] = families["intercom_mirror_refused"].samples
    assert (refused.labels, refused.value) == ({"reason": 'quote " and \\'}, 2.0)
    lag = {sample.labels.get("le", sample.name): sample.value for sample in families[LAG_SECONDS].samples}
    assert (lag["0.005"], lag["0.015"], lag["0.025"], lag["+Inf"]) == (1.0, 1.0, 2.0, 3.0)
    assert lag[f"{LAG_SECONDS}_count"] == 3.0
    assert families["intercom_mirror_inbox_depth"].samples[0].value == 1.0
    assert families["intercom_mirror_accepted"].samples[0].value == 0.0
