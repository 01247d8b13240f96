"""Formats the results as the page `docs/benchmark.md`."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from bench import backfill, proxy, triggers
from bench.backfill import BackfillRun
from bench.figures import format_figure, percentile, spread, table
from bench.measure import Burst
from bench.proxy import ProxyRun
from bench.rounds import GrowthRun, Run, Scale
from bench.triggers import TriggerRun

_PROCESSES = ("web", "worker", "sync", "workflows", "deliveries", "beat", "valkey", "postgres")


@dataclass(frozen=True)
class Figure:
    """A row of the table: its title, its goal, and how to read it from a burst."""

    title: str
    goal: str
    read: Callable[[Burst], float]


def _process_cpu(process: str) -> Callable[[Burst], float]:
    return lambda burst: burst.cpu_ms.get(process, 0.0)


def _figures(policy: str) -> list[Figure]:
    goal = {"always": "8 times naive, aim at 12", "everysec": "9 times naive, aim at 14"}[policy]
    return [
        Figure("accepted/s", "", lambda burst: burst.accepted_per_second),
        Figure("**committed/s**", goal, lambda burst: burst.committed_per_second),
        Figure("time to the 200, p50, ms", "", lambda burst: percentile(burst.latencies_ms, 50)),
        Figure("time to the 200, p99, ms", "25", lambda burst: percentile(burst.latencies_ms, 99)),
        Figure("**CPU per notification, ms**", "0.45, aim at 0.35", lambda burst: sum(burst.cpu_ms.values())),
        *(Figure(f"… of which {process}", "", _process_cpu(process)) for process in _PROCESSES),
        Figure("load generator, ms (not counted)", "", lambda burst: burst.generator_cpu_ms),
        Figure("CPU of other processes, %", "", lambda burst: burst.others_percent),
    ]


def render(  # noqa: PLR0913, PLR0917 -- the sections of the page
    machine: Iterable[tuple[str, str]],
    scale: Scale,
    runs: list[Run],
    growth: list[GrowthRun],
    backfills: Sequence[BackfillRun] = (),
    proxied: Sequence[ProxyRun] = (),
    triggered: TriggerRun | None = None,
) -> str:
    """Return the whole page as Markdown."""
    parts = [
        _heading(scale),
        table(("machine", ""), machine),
        *(f"## `appendfsync {policy}`\n\n{_comparison(policy, runs)}" for policy in scale.rounds),
        f"## Idle: webhook to visible row\n\n{_idle(runs)}",
        f"## Memory after a burst\n\n{_memory(runs)}",
    ]
    if growth:
        parts.append(f"## Growth\n\n{_growth(growth)}")
    if backfills:
        parts.append(f"## Backfill\n\n{backfill.render(list(backfills))}")
    if proxied:
        parts.append(f"## API proxy\n\n{proxy.render(proxied)}")
    if triggered:
        parts.append(f"## Workflows\n\n{triggers.render(triggered)}")
    return "\n\n".join(parts) + "\n"


def _heading(scale: Scale) -> str:
    return f"""# Benchmark

Written by `make bench`; every figure is the median of its runs, with the lowest and the highest in parentheses.

One run is {scale.notifications:,} signed `contact.user.updated` notifications of 2.5 KB, {scale.contacts:,} contacts,
16 keep-alive connections that each send the next request after a response, and processes started for this run with the
command lines of the `Procfile` and warmed up. The naive design (`bench/naive.py`) is the one that tutorials teach:
verify, one Celery task per webhook, one upsert, one commit; two web processes and two worker processes, on the same
PostgreSQL and the same Valkey. The two designs alternate, so that a slow minute of the machine affects both, and each
ratio is that of two neighbouring runs. Committed is measured from the first byte sent until the backlog is empty; after
every run SQL must contain everything that was answered with 200. CPU is that of whole process trees, including the
database."""


def _comparison(policy: str, runs: list[Run]) -> str:
    runs = [run for run in runs if run.policy == policy]
    product, naive = _bursts(runs, "product"), _bursts(runs, "naive")
    rows = []
    for figure in _figures(policy):
        ours, theirs = [figure.read(burst) for burst in product], [figure.read(burst) for burst in naive]
        ratios = [our / their for our, their in zip(ours, theirs, strict=True) if their]
        rows.append(
            (figure.title, figure.goal, str(spread(ours)), str(spread(theirs)), str(spread(ratios)) if ratios else "")
        )
    return table(("figure", "goal", "product", "naive", "product / naive"), rows)


def _idle(runs: list[Run]) -> str:
    probes = {
        name: [ms for run in runs if run.contender == name for ms in run.idle_ms] for name in ("product", "naive")
    }
    rows = []
    for percent, goal in ((50, "15"), (99, "100")):
        values = [format_figure(percentile(probes[name], percent)) for name in ("product", "naive")]
        rows.append((f"p{percent}, ms", goal, *values))
    return (
        f"One notification at a time, {len(probes['product'])} in all, `appendfsync always`, from its first byte sent\n"
        "until another connection sees its row, with a pause of 50 to 150 ms before each.\n\n"
        + table(("figure", "goal", "product", "naive"), rows)
    )


def _memory(runs: list[Run]) -> str:
    rows = []
    for process in _PROCESSES:
        cells = []
        for name in ("product", "naive"):
            sizes = [burst.memory[process] for burst in _bursts(runs, name) if process in burst.memory]
            cells += (
                [format_figure(max(one.total for one in sizes)), format_figure(max(one.largest for one in sizes))]
                if sizes
                else ["", ""]
            )
        rows.append((process, *cells))
    return (
        "The maximum of all runs, in MiB: the process and its children together (proportional set size), and the\n"
        "largest single process (resident set size). The goal for the worker is 150.\n\n"
        + table(("process", "product: all", "product: largest", "naive: all", "naive: largest"), rows)
    )


def _growth(growth: list[GrowthRun]) -> str:
    populations = sorted({run.population for run in growth})
    bursts = {size: [run.burst for run in growth if run.population == size] for size in populations}
    rows = [
        (
            f"{size:,}",
            str(spread([burst.committed_per_second for burst in bursts[size]])),
            str(spread([sum(burst.cpu_ms.values()) for burst in bursts[size]])),
            str(spread([burst.cpu_ms["postgres"] for burst in bursts[size]])),
        )
        for size in populations
    ]
    few, many = bursts[populations[0]], bursts[populations[-1]]
    ratios = [b.committed_per_second / a.committed_per_second for a, b in zip(few, many, strict=True)]
    return (
        "Only the product, `appendfsync always`: every notification updates another contact, drawn at random from\n"
        "those in the database, which fits into `shared_buffers`.\n\n"
        + table(("contacts before", "committed/s", "CPU per notification, ms", "… of which postgres"), rows)
        + f"\n\nThe largest against the smallest: {spread(ratios)}; the goal is at least 0.8."
    )


def _bursts(runs: list[Run], contender: str) -> list[Burst]:
    return [run.burst for run in runs if run.contender == contender]
