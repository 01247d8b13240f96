"""What passing a call on costs: the same calls to the pretend Intercom, directly and through /api/proxy, in turns."""

import json
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count, islice
from statistics import median

from bench import connected
from bench.connected import Asked, Client
from bench.figures import percentile, table, written
from bench.pretend import TOKEN, intercom
from bench.servers import Postgres, Valkey

# Milliseconds that a call may take longer through the proxy, at the median.
GOAL_MS = 2.0

# Contacts and companies of the pretend Intercom; the calls go around among the contacts of one page.
_SIZE = (500, 50)
_PAGE = 50
# Pairs of calls before it counts: imports, connections, and the mirror's first sight of each contact.
_WARM_UP = 150


@dataclass
class ProxyRun:
    """Milliseconds of each call of one kind: `direct`, and `proxied` right before or after it."""

    kind: str
    direct: list[float] = field(default_factory=list)
    proxied: list[float] = field(default_factory=list)

    @property
    def overhead_ms(self) -> float:
        """The difference of the medians."""
        return median(self.proxied) - median(self.direct)


def measure(postgres: Postgres, valkey: Valkey, calls: int, say: Callable[[str], None]) -> list[ProxyRun]:
    """Make so many calls of each kind both ways, one after the other on one connection each."""
    valkey.set_appendfsync("always")
    with (
        intercom(*_SIZE, rate_limit=0) as pretended,
        connected.product(postgres, valkey, pretended.port, ("web", "worker", "beat")) as running,
        closing(Client(pretended.port, "/us", TOKEN)) as direct,
        closing(Client(running.port, "/api/proxy", running.token)) as proxied,
    ):
        ids = [each["id"] for each in json.loads(direct.call("GET", f"/contacts?per_page={_PAGE}", None))["data"]]
        runs = [_run(kind, calls, asked(ids), direct, proxied) for kind, asked in _KINDS.items()]
    for run in runs:
        say(f"through the proxy, {run.kind}: {run.overhead_ms:.2f} ms more")
    return runs


def render(runs: Sequence[ProxyRun]) -> str:
    """Return the section of the page."""
    rows = [
        (
            f"{run.kind}, p{percent}, ms",
            f"{GOAL_MS:.0f} more" if percent == 50 else "",  # noqa: PLR2004 -- the median
            written(percentile(run.proxied, percent)),
            written(percentile(run.direct, percent)),
            written(percentile(run.proxied, percent) - percentile(run.direct, percent)),
        )
        for run in runs
        for percent in (50, 99)
    ]
    return (
        f"{len(runs[0].direct):,} calls of each kind through `/api/proxy` and as many to the pretend Intercom itself,\n"
        "in turns, by one client with a connection kept open to each. Through the proxy means: the user's token\n"
        "checked, a place in the allowance, the call passed on with the user's own token, and what the answer tells\n"
        "compared with PostgreSQL, and committed there if it is new, before the answer goes back. Valkey\n"
        "(`appendfsync always`) is told of each call while its answer is on its way.\n\n"
        + table(("figure", "goal", "through the proxy", "direct", "overhead"), rows)
    )


def _reads(ids: list[str]) -> Iterator[Asked]:
    for number in count():
        yield "GET", f"/contacts/{ids[number % len(ids)]}", None


def _searches(ids: list[str]) -> Iterator[Asked]:
    for number in count():
        yield "POST", "/contacts/search", {"query": {"field": "id", "operator": "=", "value": ids[number % len(ids)]}}


def _writes(ids: list[str]) -> Iterator[Asked]:
    for number in count():
        yield "PUT", f"/contacts/{ids[number % len(ids)]}", {"name": f"Person {number}"}


_KINDS: dict[str, Callable[[list[str]], Iterator[Asked]]] = {
    "reading a contact": _reads,
    "searching for one": _searches,
    "updating one": _writes,
}


def _run(kind: str, calls: int, asked: Iterator[Asked], direct: Client, proxied: Client) -> ProxyRun:
    for each in islice(asked, _WARM_UP):
        direct.call(*each)
        proxied.call(*each)
    run = ProxyRun(kind)
    # Two calls in a row of each, so that what the one before leaves in the caches falls on both.
    for first, second in zip(islice(asked, calls), islice(asked, calls), strict=False):
        run.direct.append(_timed(direct, first))
        run.proxied.append(_timed(proxied, first))
        run.proxied.append(_timed(proxied, second))
        run.direct.append(_timed(direct, second))
    return run


def _timed(client: Client, asked: Asked) -> float:
    """Return the milliseconds of a call."""
    began = time.perf_counter()
    client.call(*asked)
    return (time.perf_counter() - began) * 1000
