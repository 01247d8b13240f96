"""The order of the runs: the two designs alternate, so that a slow minute of the machine falls on both."""

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from pathlib import Path

from bench import bodies
from bench.bodies import Plan
from bench.contenders import Contender, Product
from bench.measure import Burst, session
from bench.prefill import TEMPLATE_NUMBER, WORKSPACE, prefill
from bench.servers import Postgres, Valkey

# The runs' changes lie in the past thirty days, each run's after those of the run before.
_PAST_SECONDS = 30 * 86400
_RUN_SECONDS = 10000


@dataclass(frozen=True)
class Scale:
    """
    How much to measure.

    Attributes:
        notifications, contacts: of one burst.
        rounds: runs of each design, by `appendfsync`.
        probes: idle notifications in each run with `appendfsync always`.
        populations: contacts in the database before the growth runs; empty: no such runs.
        growth_rounds: runs at each population.
        filled: contacts and companies that a mirror is filled with; none: no such runs.
        pairs: of calls of each kind through the proxy, half as many before a direct one as after it.
        triggers: notifications a second that start workflows, and for how many seconds.
    """

    notifications: int
    contacts: int
    rounds: dict[str, int]
    probes: int
    populations: tuple[int, ...]
    growth_rounds: int
    filled: tuple[int, int] | None = None
    pairs: int = 50
    triggers: tuple[int, int] = (200, 3)


FULL = Scale(5000, 1000, {"always": 5, "everysec": 5}, 40, (10_000, 1_000_000), 5, (20_000, 3_000), 400, (200, 20))
QUICK = Scale(2000, 400, {"always": 1, "everysec": 1}, 10, (), 1)


@dataclass(frozen=True)
class Run:
    """One run of one design: its burst and its idle latencies in milliseconds, if probed."""

    contender: str
    policy: str
    burst: Burst
    idle_ms: list[float]


class Clock:
    """Hands out the unix second at which each run's changes begin."""

    def __init__(self) -> None:
        self._starts = count(int(time.time()) - _PAST_SECONDS, _RUN_SECONDS)

    def next(self) -> int:
        """Return a second later than all changes of the runs before."""
        return next(self._starts)


def alternate(contenders: list[Contender], postgres: Postgres, valkey: Valkey, scale: Scale) -> Iterator[Run]:
    """Yield the runs of both designs, policy by policy, A B A B."""
    clock = Clock()
    for policy, rounds in scale.rounds.items():
        valkey.set_appendfsync(policy)
        for contender in contenders * rounds:
            yield _run(contender, policy, postgres, valkey, scale, clock)


def _run(contender: Contender, policy: str, postgres: Postgres, valkey: Valkey, scale: Scale, clock: Clock) -> Run:
    with session(contender, postgres, valkey) as running:
        running.warm_up(clock.next())
        start = clock.next()
        plan = Plan(f"bench-{start}", scale.notifications, scale.contacts, scale.contacts, start, seed=start)
        burst = running.burst(plan)
        idle = running.idle_latencies(scale.probes, clock.next()) if policy == "always" else []
    return Run(contender.name, policy, burst, idle)


@dataclass(frozen=True)
class GrowthRun:
    """One burst on a database that already held `population` contacts."""

    population: int
    burst: Burst


def grow(
    postgres: Postgres, valkey: Valkey, scale: Scale, directory: Path, say: Callable[[str], None]
) -> Iterator[GrowthRun]:
    """Yield runs of the product on databases of different sizes, alternating; bursts update contacts that exist."""
    valkey.set_appendfsync("always")
    clock = Clock()
    products = {}
    for population in scale.populations:
        say(f"filling a database with {population:,} contacts")
        products[population] = _filled(postgres, valkey, population, directory, clock.next())
    for _ in range(scale.growth_rounds):
        for population, product in products.items():
            with session(product, postgres, valkey) as running:
                running.warm_up(clock.next())
                start = clock.next()
                plan = Plan(WORKSPACE, scale.notifications, scale.notifications, population, start, seed=start)
                yield GrowthRun(population, running.burst(plan))


def _filled(postgres: Postgres, valkey: Valkey, population: int, directory: Path, second: int) -> Product:
    product = Product(postgres, valkey, f"growth_{population}")
    product.prepare(directory)
    with session(product, postgres, valkey) as running:
        # The company first: a contact that names one of which there is no row puts it in doubt.
        running.post(bodies.company_body(WORKSPACE, TEMPLATE_NUMBER, second, str(uuid.uuid4())))
        running.post_one(WORKSPACE, TEMPLATE_NUMBER, second)
        running.wait_for_empty_backlog()
    prefill(product.sql, population)
    return product
