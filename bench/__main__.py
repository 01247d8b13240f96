"""The command behind `make bench`."""

import signal
import tempfile
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import click

from bench import machine, report, rounds, servers
from bench.contenders import ROOT, Contender, Naive, Product
from bench.measure import Burst

# Seconds after which a run stops by itself, whatever it waits for; a whole one takes about ten minutes.
_LIMIT_SECONDS = 15 * 60
_PAGE = ROOT / "docs" / "benchmark.md"


@click.command()
@click.option("--quick", is_flag=True, help="One small run of each, no growth; prints, writes no page.")
@click.option("--growth/--no-growth", default=True, help="Fill databases with up to a million contacts, and compare.")
@click.option("--output", type=click.Path(path_type=Path), default=_PAGE, help="Where the page goes.")
def main(*, quick: bool, growth: bool, output: Path) -> None:
    """Measure this product against one Celery task per webhook, on real PostgreSQL and Valkey."""
    signal.signal(signal.SIGALRM, _give_up)
    signal.alarm(_LIMIT_SECONDS)
    page = _measure(rounds.QUICK if quick else rounds.FULL, growth=growth)
    click.echo(page)
    if not quick:
        output.parent.mkdir(exist_ok=True)
        output.write_text(page)


def _measure(scale: rounds.Scale, *, growth: bool) -> str:
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        postgres = stack.enter_context(servers.postgres(directory))
        valkey = stack.enter_context(servers.valkey(directory))
        about = machine.describe(postgres, valkey, directory)
        contenders: list[Contender] = [Product(postgres, valkey, "product"), Naive(postgres, valkey, "naive")]
        for contender in contenders:
            contender.prepare(directory)
        runs = []
        for run in rounds.alternate(contenders, postgres, valkey, scale):
            _say(f"{run.contender}, {run.policy}: {_summary(run.burst)}")
            runs.append(run)
        grown = []
        if growth and scale.populations:
            for growth_run in rounds.grow(postgres, valkey, scale, lambda product: product.prepare(directory), _say):
                _say(f"{growth_run.population:,} contacts: {_summary(growth_run.burst)}")
                grown.append(growth_run)
        return report.render(about, scale, runs, grown)


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
