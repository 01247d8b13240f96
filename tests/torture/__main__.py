"""`python -m tests.torture`: see --help."""

import sys
import tempfile
import time
from pathlib import Path

import click

from tests.torture.run import Plan, run
from tests.torture.verdict import faults_of, report


@click.command()
@click.option("--notifications", default=20_000, show_default=True)
@click.option("--faults", default=100, show_default=True)
@click.option("--seed", type=int, help="Another one each time, unless given; it is printed.")
@click.option("--database", type=click.Choice(["postgres", "sqlite"]), default="postgres", show_default=True)
@click.option("--rate", default=60.0, show_default=True, help="Notifications told per second.")
@click.option("--contacts", default=500, show_default=True, help="How many there are at the start.")
@click.option("--only", multiple=True, help="A kind of fault; all of them, unless given.")
@click.option("--keep", type=click.Path(path_type=Path), help="An empty directory for the logs, which then stay.")
def main(seed: int | None, keep: Path | None, **given: object) -> None:
    """Send notifications through the real processes while faults strike, and compare the books."""
    seed = int(time.time()) if seed is None else seed
    plan = Plan(seed=seed, **given)  # type: ignore[arg-type]
    click.echo(f"{plan}")
    with tempfile.TemporaryDirectory(prefix="torture-") as temporary:
        directory = keep or Path(temporary)
        directory.mkdir(parents=True, exist_ok=True)
        began = time.monotonic()
        result = run(plan, directory, lambda line: click.echo(f"{time.monotonic() - began:7.1f} s  {line}"))
    click.echo(report(result))
    wrong = faults_of(result)
    for sentence in wrong:
        click.echo(f"WRONG: {sentence}")
    click.echo(f"seed {seed}: {'not all' if wrong else 'all'} is as it must be")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
