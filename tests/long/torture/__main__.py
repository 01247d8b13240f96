"""`python -m tests.long.torture`: see --help."""

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import click

from tests.long.torture import negative_control
from tests.long.torture.checks import failures_in, report
from tests.long.torture.log_directory_option import log_directory_option
from tests.long.torture.run import TorturePlan, outage_plan, run

# What `make torture` does to the database, and the notifications per second meanwhile: twelve thousand pile up.
WHOLE_OUTAGE_SECONDS = 600.0
WHOLE_OUTAGE_RATE = 20.0

# Says what is wrong, a sentence each; works in an empty directory.
Stage = Callable[[Path], list[str]]


@click.command()
@click.option("--notifications", default=20_000, show_default=True)
@click.option("--faults", default=100, show_default=True)
@click.option("--seed", type=int, help="Another one each time, unless given; it is printed.")
@click.option("--database", type=click.Choice(["postgres", "sqlite"]), default="postgres", show_default=True)
@click.option("--rate", default=60.0, show_default=True, help="Notifications told per second.")
@click.option("--contacts", default=500, show_default=True, help="How many there are at the start.")
@click.option("--only", multiple=True, help="A kind of fault; all of them, unless given.")
@click.option("--outage", type=float, help="Seconds that the database is away, instead of all other faults.")
@click.option("--control", "is_control", is_flag=True, help="Torture the naive design instead: it must lose something.")
@click.option("--all", "is_all", is_flag=True, help="The control, both databases, and an outage of ten minutes.")
@log_directory_option
def main(
    *, seed: int | None, is_all: bool, is_control: bool, outage: float | None, keep: Path | None, **given: Any
) -> None:
    """Send notifications through the real processes while faults strike, and compare the books."""
    seed = int(time.time()) if seed is None else seed
    if is_all:
        stages = _everything(TorturePlan(seed=seed, **given))
    elif is_control:
        stages = {"control": partial(_lose, seed)}
    elif outage:
        stages = {"outage": partial(_torture, outage_plan(outage, TorturePlan(seed=seed, **given)))}
    else:
        stages = {"faults": partial(_torture, TorturePlan(seed=seed, **given))}
    with tempfile.TemporaryDirectory(prefix="torture-") as temporary:
        wrong = [
            sentence for name, stage in stages.items() for sentence in _run(stage, (keep or Path(temporary)) / name)
        ]
    click.echo(f"seed {seed}: {'not all' if wrong else 'all'} is as it must be")
    sys.exit(bool(wrong))


def _everything(plan: TorturePlan) -> dict[str, Stage]:
    outage = outage_plan(WHOLE_OUTAGE_SECONDS, replace(plan, database="postgres", rate=WHOLE_OUTAGE_RATE))
    return {
        "control": partial(_lose, plan.seed),
        **{kind: partial(_torture, replace(plan, database=kind)) for kind in ("postgres", "sqlite")},
        "outage": partial(_torture, outage),
    }


def _run(stage: Stage, directory: Path) -> list[str]:
    directory.mkdir(parents=True)
    wrong = stage(directory)
    for sentence in wrong:
        click.echo(f"WRONG: {sentence}")
    return wrong


def _torture(plan: TorturePlan, directory: Path) -> list[str]:
    click.echo(f"{plan}")
    result = run(plan, directory, _teller())
    click.echo(report(result))
    return failures_in(result)


def _lose(seed: int, directory: Path) -> list[str]:
    result = negative_control.run(seed, directory, _teller())
    click.echo(f"The naive design: {result}")
    return [] if result.lost else ["the naive design lost nothing, so nobody knows whether a loss would be seen"]


def _teller() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda line: click.echo(f"{time.monotonic() - began:7.1f} s  {line}")


if __name__ == "__main__":
    main()
