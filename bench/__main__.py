"""The command behind `make bench`."""

import signal
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import click

from bench import backfill, machine, proxy, report, rounds, servers, triggers
from bench.contenders import ROOT, Contender, Naive, Product
from bench.measure import Burst
from bench.servers import Postgres, Valkey
from bench.worker_profile import profile_worker

# Seconds after which a run stops by itself, whatever it waits for; a whole one takes about twelve minutes.
_LIMIT_SECONDS = 20 * 60
_PAGE = ROOT / "docs" / "benchmark.md"


@click.command()
@click.option("--quick", is_flag=True, help="One small run of each, no growth; prints, writes no page.")
@click.option("--rounds", "count", type=click.IntRange(1, 5), help="Runs of each design; five unless told.")
@click.option("--growth/--no-growth", default=True, help="Fill databases with up to a million contacts, and compare.")
@click.option("--profile", is_flag=True, help="Print where the worker's CPU time goes, and nothing else.")
@click.option("--output", type=click.Path(path_type=Path), default=_PAGE, help="Where the page goes.")
def main(*, quick: bool, count: int | None, growth: bool, profile: bool, output: Path) -> None:
    """Measure this product against one Celery task per webhook, on real PostgreSQL and Valkey."""
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(_LIMIT_SECONDS)
    scale = rounds.QUICK if quick else rounds.FULL
    if count:
        scale = replace(scale, rounds=dict.fromkeys(scale.rounds, count), growth_rounds=count)
    if profile:
        click.echo(_profile())
        return
    page = _measure(scale, growth=growth)
    click.echo(page)
    if not quick:
        output.parent.mkdir(exist_ok=True)
        output.write_text(page)


@contextmanager
def _servers() -> Iterator[tuple[Postgres, Valkey, Path]]:
    with (
        tempfile.TemporaryDirectory(prefix="bench-") as name,
        servers.postgres(Path(name)) as postgres,
        servers.valkey(Path(name)) as valkey,
    ):
        yield postgres, valkey, Path(name)


def _profile() -> str:
    with _servers() as (postgres, valkey, directory):
        return profile_worker(postgres, valkey, directory)


def _measure(scale: rounds.Scale, *, growth: bool) -> str:
    with _servers() as (postgres, valkey, directory):
        about = machine.describe(postgres, valkey, directory)
        runs = list(_compare(postgres, valkey, scale, directory))
        grown = list(_grow(postgres, valkey, scale, directory)) if growth and scale.populations else []
        fills = backfill.measure(postgres, valkey, *scale.filled, _say) if scale.filled else []
        passed = proxy.measure(postgres, valkey, scale.pairs, _say)
        triggered = triggers.measure(postgres, valkey, *scale.triggers, _say)
        return report.render(about, scale, runs, grown, fills, passed, triggered)


def _compare(postgres: Postgres, valkey: Valkey, scale: rounds.Scale, directory: Path) -> Iterator[rounds.Run]:
    contenders: list[Contender] = [Product(postgres, valkey, "product"), Naive(postgres, valkey, "naive")]
    for contender in contenders:
        contender.prepare(directory)
    for run in rounds.alternate(contenders, postgres, valkey, scale):
        _say(f"{run.contender}, {run.policy}: {_summary(run.burst)}")
        yield run


def _grow(postgres: Postgres, valkey: Valkey, scale: rounds.Scale, directory: Path) -> Iterator[rounds.GrowthRun]:
    for run in rounds.grow(postgres, valkey, scale, directory, _say):
        _say(f"{run.population:,} contacts: {_summary(run.burst)}")
        yield run


def _summary(burst: Burst) -> str:
    return (
        f"{burst.committed_per_second:,.0f} committed/s, {burst.accepted_per_second:,.0f} accepted/s, "
        f"{sum(burst.cpu_ms.values()):.2f} ms of CPU each"
    )


def _say(line: str) -> None:
    click.echo(line, err=True)


def _give_up(signal_number: int, frame: FrameType | None) -> None:
    del signal_number, frame
    raise TimeoutError(f"The benchmark took longer than {_LIMIT_SECONDS // 60} minutes.")


if __name__ == "__main__":
    main()
