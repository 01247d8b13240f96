"""The command of `make bench`."""

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

# Seconds after which a benchmark stops in any case; a whole one takes about twelve minutes.
_TIMEOUT_SECONDS = 20 * 60
_PAGE = ROOT / "docs" / "benchmark.md"


@click.command()
@click.option("--quick", is_flag=True, help="Make one small run of each, without growth; print the page only.")
@click.option("--rounds", "count", type=click.IntRange(1, 5), help="Runs of each design; 5 by default.")
@click.option("--growth/--no-growth", default=True, help="Compare databases with up to a million contacts.")
@click.option("--profile", is_flag=True, help="Only print a CPU profile of the worker.")
@click.option("--output", type=click.Path(path_type=Path), default=_PAGE, help="The file to write the page to.")
def main(*, quick: bool, count: int | None, growth: bool, profile: bool, output: Path) -> None:
    """Measure the product against one Celery task per webhook, on real PostgreSQL and Valkey."""
    signal.signal(signal.SIGALRM, _stop_on_timeout)
    signal.alarm(_TIMEOUT_SECONDS)
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
        machine_rows = machine.describe(postgres, valkey, directory)
        runs = list(_compare(postgres, valkey, scale, directory))
        growth_runs = list(_grow(postgres, valkey, scale, directory)) if growth and scale.populations else []
        backfills = (
            backfill.measure(postgres, valkey, *scale.backfill_size, _print_progress) if scale.backfill_size else []
        )
        proxied = proxy.measure(postgres, valkey, scale.pairs, _print_progress)
        triggered = triggers.measure(postgres, valkey, *scale.triggers, _print_progress)
        return report.render(machine_rows, scale, runs, growth_runs, backfills, proxied, triggered)


def _compare(postgres: Postgres, valkey: Valkey, scale: rounds.Scale, directory: Path) -> Iterator[rounds.Run]:
    contenders: list[Contender] = [Product(postgres, valkey, "product"), Naive(postgres, valkey, "naive")]
    for contender in contenders:
        contender.prepare(directory)
    for run in rounds.alternate(contenders, postgres, valkey, scale):
        _print_progress(f"{run.contender}, {run.policy}: {_summary(run.burst)}")
        yield run


def _grow(postgres: Postgres, valkey: Valkey, scale: rounds.Scale, directory: Path) -> Iterator[rounds.GrowthRun]:
    for run in rounds.grow(postgres, valkey, scale, directory, _print_progress):
        _print_progress(f"{run.population:,} contacts: {_summary(run.burst)}")
        yield run


def _summary(burst: Burst) -> str:
    return (
        f"{burst.committed_per_second:,.0f} committed/s, {burst.accepted_per_second:,.0f} accepted/s, "
        f"{sum(burst.cpu_ms.values()):.2f} ms of CPU each"
    )


def _print_progress(line: str) -> None:
    click.echo(line, err=True)


def _stop_on_timeout(signal_number: int, frame: FrameType | None) -> None:
    del signal_number, frame
    raise TimeoutError(f"The benchmark took longer than {_TIMEOUT_SECONDS // 60} minutes.")


if __name__ == "__main__":
    main()
