"""The benchmark's notifications are valid, and its figures correct."""

from collections import Counter

import pytest

from bench.bodies import CLIENT_SECRET, Plan, bodies, contact_id, request
from bench.figures import percentile, spread, table
from bench.measure import Burst
from bench.processes import Memory
from bench.proxy import ProxyRun
from bench.report import render
from bench.rounds import GrowthRun, Run, Scale
from bench.triggers import TriggerRun
from intercom_api.wire.envelope import open_notification

PLAN = Plan("bench", count=50, contacts=10, population=1000, first_second=1_768_000_000, seed=7)


def test_every_request_is_a_signed_notification_of_a_contact() -> None:
    """The product accepts what the generator sends."""
    for body in bodies(PLAN):
        head, _, sent = request(body, "/webhooks/intercom", "localhost").partition(b"\r\n\r\n")
        headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n")[1:])
        notification = open_notification(sent, headers["X-Hub-Signature"], [CLIENT_SECRET])
        assert (notification.topic, notification.app_id) == ("contact.user.updated", "bench")
        assert int(headers["Content-Length"]) == len(sent)


def test_a_plan_changes_each_contact_equally_often_and_never_twice_within_a_second() -> None:
    """Two contents within a second would make the contact dirty, which is not measured."""
    items = [open_notification(body, request_signature(body), [CLIENT_SECRET]).item for body in bodies(PLAN)]
    assert set(Counter(item["id"] for item in items).values()) == {5}
    times = [item["updated_at"][:19] for item in items]
    assert times == sorted(set(times))


def test_a_plan_is_the_same_every_time() -> None:
    """Both designs receive the same load, byte for byte."""
    assert list(bodies(PLAN)) == list(bodies(PLAN))


def test_contact_ids_look_like_intercoms() -> None:
    """24 hex digits."""
    assert contact_id(255) == "6650a1b200000000000000ff"


def test_a_spread_shows_median_lowest_and_highest() -> None:
    """Three digits are significant."""
    assert str(spread([3300.4, 1234.5, 0.123])) == "1,234 (0.12 to 3,300)"


def test_a_percentile_lies_between_its_neighbours() -> None:
    """The 99th of a hundred and one values is the last but one."""
    assert percentile([float(value) for value in range(101)], 99) == pytest.approx(99)


def test_a_table_has_a_line_under_its_head() -> None:
    """Markdown requires it."""
    assert table(("a", "b"), [("1", "2")]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


def test_the_page_compares_product_and_naive() -> None:
    """Each ratio is that of two neighbouring runs."""
    scale = Scale(5000, 1000, {"always": 1}, 2, (10, 20), 1)
    page = render(
        [("processor", "some")], scale, _ONE_OF_EACH, [GrowthRun(10, _burst(2000)), GrowthRun(20, _burst(1900))]
    )
    assert "| **committed/s** | 8 times naive, aim at 12 | 3,000 | 300 | 10.0 |" in page
    assert "The largest against the smallest: 0.95" in page


def test_the_page_has_proxy_and_workflow_figures() -> None:
    """The overhead is the difference of the medians; a contact with two notes does not count."""
    run = TriggerRun(200, [10.0, 20.0, 30.0], {"done": 2, "failed": 1}, {"a": 1, "b": 2, "c": 0}, 1.5)
    proxied = ProxyRun("reading a contact", direct=[1.0, 2.0, 3.0], proxied=[4.0, 5.0, 60.0])
    page = render([], Scale(5000, 1000, {}, 2, (), 1), _ONE_OF_EACH, [], proxied=[proxied], triggered=run)
    assert "| reading a contact, p50, ms | 2 more | 5.00 | 2.00 | 3.00 |" in page
    assert "| **webhook to visible row, longest, ms** | 1,000 | 30.0 |" in page
    assert "| successful runs | 3 | 2 |" in page
    assert "| contacts with exactly one note | 3 | 1 |" in page


def request_signature(body: bytes) -> str:
    head = request(body, "/", "localhost").partition(b"\r\n\r\n")[0].decode()
    return head.partition("X-Hub-Signature: ")[2].splitlines()[0]


def _burst(committed_per_second: float) -> Burst:
    return Burst(
        accepted_per_second=committed_per_second,
        committed_per_second=committed_per_second,
        latencies_ms=[1.0, 2.0],
        cpu_ms={"web": 0.2, "postgres": 0.1},
        memory={"web": Memory(total=60.0, largest=50.0)},
        generator_cpu_ms=0.02,
        others_percent=1.0,
    )


_ONE_OF_EACH = [Run("product", "always", _burst(3000), [5.0, 6.0]), Run("naive", "always", _burst(300), [9.0, 10.0])]
