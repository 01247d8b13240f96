"""Measures the API proxy: the same calls to the emulator, directly and through /api/proxy, alternating."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count, islice
from statistics import median

from bench import connected_product
from bench.connected_product import Call, Client
from bench.emulator_process import TOKEN, run_emulator
from bench.figures import format_figure, percentile, table
from bench.servers import Postgres, Valkey
from settings.units import MS_PER_SECOND

# Milliseconds that the proxy may add to a call, at the median.
GOAL_MS = 2.0

# Contacts and companies of the emulator; the calls cycle through the contacts of one page.
_SIZE = (500, 50)
_PAGE = 50
# Pairs of calls before the measurement: imports, connections, and the mirror's first write of each contact.
_WARM_UP = 150


@dataclass
class ProxyRun:
    """Milliseconds of each call of one kind: `direct`, and `proxied` directly before or after it."""

    kind: str
    direct: list[float] = field(default_factory=list)
    proxied: list[float] = field(default_factory=list)

    @property
    def overhead_ms(self) -> float:
        """The difference of the medians, in milliseconds."""
        return median(self.proxied) - median(self.direct)


def measure(postgres: Postgres, valkey: Valkey, calls: int, report_progress: Callable[[str], None]) -> list[ProxyRun]:
    """Make `calls` pairs of calls of each kind both ways, one after the other on one connection each."""
    valkey.set_appendfsync("always")
    with (
        run_emulator(*_SIZE, rate_limit=0) as emulator,
        connected_product.product(postgres, valkey, emulator.port, ("web", "worker", "beat")) as running,
        closing(Client(emulator.port, "/us", TOKEN)) as direct,
        closing(Client(running.port, "/api/proxy", running.token)) as proxied,
    ):
        ids = [each["id"] for each in json.loads(direct.call("GET", f"/contacts?per_page={_PAGE}", None))["data"]]
        runs = [_run(kind, calls, generate(ids), direct, proxied) for kind, generate in _KINDS.items()]
    for run in runs:
        report_progress(f"API proxy, {run.kind}: {run.overhead_ms:.2f} ms more")
    return runs


def render(runs: Sequence[ProxyRun]) -> str:
    """Return this section of the page."""
    rows = [
        (
            f"{run.kind}, p{percent}, ms",
            f"{GOAL_MS:.0f} more" if percent == 50 else "",  # noqa: PLR2004 -- the median
            format_figure(percentile(run.proxied, percent)),
            format_figure(percentile(run.direct, percent)),
            format_figure(percentile(run.proxied, percent) - percentile(run.direct, percent)),
        )
        for run in runs
        for percent in (50, 99)
    ]
    return (
        f"{len(runs[0].direct):,} calls of each kind through `/api/proxy` and as many directly to the emulator,\n"
        "alternating, by one client with one open connection to each. The proxy checks the user's token, takes a\n"
        "rate-limit slot, forwards the call with the user's own Intercom token, and compares the response with\n"
        "PostgreSQL; what is new is committed before the response is returned. Valkey (`appendfsync always`) records\n"
        "each call while its response is on the way.\n\n"
        + table(("figure", "goal", "through the proxy", "direct", "overhead"), rows)
    )


def _reads(ids: list[str]) -> Iterator[Call]:
    for number in count():
        yield "GET", f"/contacts/{ids[number % len(ids)]}", None


def _searches(ids: list[str]) -> Iterator[Call]:
    for number in count():
        yield "POST", "/contacts/search", {"query": {"field": "id", "operator": "=", "value": ids[number % len(ids)]}}


def _writes(ids: list[str]) -> Iterator[Call]:
    for number in count():
        yield "PUT", f"/contacts/{ids[number % len(ids)]}", {"name": f"Person {number}"}


_KINDS: dict[str, Callable[[list[str]], Iterator[Call]]] = {
    "reading a contact": _reads,
    "searching for a contact": _searches,
    "updating a contact": _writes,
}


def _run(kind: str, count: int, calls: Iterator[Call], direct: Client, proxied: Client) -> ProxyRun:
    for each in islice(calls, _WARM_UP):
        direct.call(*each)
        proxied.call(*each)
    run = ProxyRun(kind)
    # Two calls in a row of each, so that caches filled by the previous call affect both alike.
    for first, second in zip(islice(calls, count), islice(calls, count), strict=False):
        run.direct.append(_timed(direct, first))
        run.proxied.append(_timed(proxied, first))
        run.proxied.append(_timed(proxied, second))
        run.direct.append(_timed(direct, second))
    return run


def _timed(client: Client, calls: Call) -> float:
    """Make a call and return its milliseconds."""
    began = time.perf_counter()
    client.call(*calls)
    return (time.perf_counter() - began) * MS_PER_SECOND
