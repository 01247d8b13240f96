"""The command of `make torture`: `python -m tests.long.torture --help`."""

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

# Seconds of the outage in `make torture`, and the notifications per second meanwhile: twelve thousand accumulate.
LONG_OUTAGE_SECONDS = 600.0
LONG_OUTAGE_RATE = 20.0

# Runs in an empty directory; returns what is wrong, a sentence each.
Stage = Callable[[Path], list[str]]


@click.command()
@click.option("--notifications", default=20_000, show_default=True)
@click.option("--faults", default=100, show_default=True)
@click.option("--seed", type=int, help="[default: another one each time; it is printed]")
@click.option("--database", type=click.Choice(["postgres", "sqlite"]), default="postgres", show_default=True)
@click.option("--rate", default=60.0, show_default=True, help="Notifications per second.")
@click.option("--contacts", default=500, show_default=True, help="Their number at the start.")
@click.option("--only", multiple=True, help="A kind of fault. [default: all of them]")
@click.option("--outage", type=float, help="Seconds of an outage of the database, instead of all other faults.")
@click.option("--control", "is_control", is_flag=True, help="Torture the usual design instead: it must lose something.")
@click.option("--all", "is_all", is_flag=True, help="The control, both databases, and an outage of ten minutes.")
@log_directory_option
def main(
    *, seed: int | None, is_all: bool, is_control: bool, outage: float | None, keep: Path | None, **options: Any
) -> None:
    """Send notifications through the real processes while faults are injected, and compare the tables."""
    seed = int(time.time()) if seed is None else seed
    if is_all:
        stages = _all_stages(TorturePlan(seed=seed, **options))
    elif is_control:
        stages = {"control": partial(_run_control, seed)}
    elif outage:
        stages = {"outage": partial(_run_plan, outage_plan(outage, TorturePlan(seed=seed, **options)))}
    else:
        stages = {"faults": partial(_run_plan, TorturePlan(seed=seed, **options))}
    with tempfile.TemporaryDirectory(prefix="torture-") as temporary:
        failures = [
            sentence
            for name, stage in stages.items()
            for sentence in _run_stage(stage, (keep or Path(temporary)) / name)
        ]
    click.echo(f"seed {seed}: {'some checks failed' if failures else 'all checks passed'}")
    sys.exit(bool(failures))


def _all_stages(plan: TorturePlan) -> dict[str, Stage]:
    outage = outage_plan(LONG_OUTAGE_SECONDS, replace(plan, database="postgres", rate=LONG_OUTAGE_RATE))
    return {
        "control": partial(_run_control, plan.seed),
        **{kind: partial(_run_plan, replace(plan, database=kind)) for kind in ("postgres", "sqlite")},
        "outage": partial(_run_plan, outage),
    }


def _run_stage(stage: Stage, directory: Path) -> list[str]:
    directory.mkdir(parents=True)
    failures = stage(directory)
    for sentence in failures:
        click.echo(f"FAILED: {sentence}")
    return failures


def _run_plan(plan: TorturePlan, directory: Path) -> list[str]:
    click.echo(f"{plan}")
    result = run(plan, directory, _timed_log())
    click.echo(report(result))
    return failures_in(result)


def _run_control(seed: int, directory: Path) -> list[str]:
    result = negative_control.run(seed, directory, _timed_log())
    click.echo(f"The usual design: {result}")
    return [] if result.lost else ["the usual design lost nothing, so the run does not show that a loss is detected"]


def _timed_log() -> Callable[[str], None]:
    began = time.monotonic()
    return lambda line: click.echo(f"{time.monotonic() - began:7.1f} s  {line}")


if __name__ == "__main__":
    main()
