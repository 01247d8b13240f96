"""The order of the runs: the two designs alternate, so that a slow minute of the machine affects both."""

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

# Seconds. All changes are in the past thirty days, those of each run after those of the previous run.
_PAST_SECONDS = 30 * 86400
_RUN_SECONDS = 10000


@dataclass(frozen=True)
class Scale:
    """
    The amount of work to measure.

    Attributes:
        notifications, contacts: of one burst.
        rounds: runs of each design, by `appendfsync`.
        probes: idle notifications in each run with `appendfsync always`.
        populations: contacts in the database before the growth runs; empty: no such runs.
        growth_rounds: runs at each population.
        backfill_size: contacts and companies of the backfill; None: no such runs.
        pairs: of proxied and direct calls of each kind, in alternating order.
        triggers: notifications a second that start workflows, and the number of seconds.
    """

    notifications: int
    contacts: int
    rounds: dict[str, int]
    probes: int
    populations: tuple[int, ...]
    growth_rounds: int
    backfill_size: tuple[int, int] | None = None
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
    """Gives each run the unix second of its first change."""

    def __init__(self) -> None:
        self._starts = count(int(time.time()) - _PAST_SECONDS, _RUN_SECONDS)

    def next(self) -> int:
        """Return a second later than all changes of the previous runs."""
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
    """One burst on a database that already had `population` contacts."""

    population: int
    burst: Burst


def grow(
    postgres: Postgres, valkey: Valkey, scale: Scale, directory: Path, report_progress: Callable[[str], None]
) -> Iterator[GrowthRun]:
    """Yield runs of the product on databases of different sizes, alternating; bursts update contacts that exist."""
    valkey.set_appendfsync("always")
    clock = Clock()
    products = {}
    for population in scale.populations:
        report_progress(f"filling a database with {population:,} contacts")
        products[population] = _fill_database(postgres, valkey, population, directory, clock.next())
    for _ in range(scale.growth_rounds):
        for population, product in products.items():
            with session(product, postgres, valkey) as running:
                running.warm_up(clock.next())
                start = clock.next()
                plan = Plan(WORKSPACE, scale.notifications, scale.notifications, population, start, seed=start)
                yield GrowthRun(population, running.burst(plan))


def _fill_database(postgres: Postgres, valkey: Valkey, population: int, directory: Path, second: int) -> Product:
    product = Product(postgres, valkey, f"growth_{population}")
    product.prepare(directory)
    with session(product, postgres, valkey) as running:
        # The company first: a contact that refers to a company without a row makes that company dirty.
        running.post(bodies.company_body(WORKSPACE, TEMPLATE_NUMBER, second, str(uuid.uuid4())))
        running.post_one(WORKSPACE, TEMPLATE_NUMBER, second)
        running.wait_for_empty_backlog()
    prefill(product.sql, population)
    return product
