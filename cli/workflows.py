"""`intercom-mirror workflows`: check and test workflow files, and list their runs."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli import workflow_output as output
from cli.database import open_database
from cli.terminal import jsonable, print_rows, printable
from settings import Settings, get_settings
from workers.runtime.wakeup import wake_workflows
from workers.workflows import dry_run
from workers.workflows.engine import manage_runs
from workers.workflows.files import read_file, read_folder
from workers.workflows.format.workflow import InvalidWorkflowError, Workflow
from workers.workflows.triggers import records
from workers.workflows.triggers.records import RecordKey

# Runs that `runs` lists without --limit.
_DEFAULT_LIMIT = 50

_STATES = ("held", "queued", "done", "stopped", "failed", "unknown", "ignored")


@click.group()
def workflows() -> None:
    """Check and test workflow files, and list their runs."""


@workflows.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
def check(paths: tuple[Path, ...]) -> None:
    """
    Check files, or those of the folder WORKFLOWS_DIR, and print every mistake with its line.

    The exit code is 1 if there is one.
    """
    settings = get_settings()
    named = settings.workflow_settings
    count = broken = 0
    for path in paths or (_folder(settings),):
        if path.is_dir():
            folder = read_folder(path, named)
            found = folder.mistakes
            count += len(folder.files)
        else:
            found = _mistakes(path, settings)
            count += not found
        broken += len(found)
        for file, mistakes in found.items():
            for each in mistakes:
                click.echo(f"{file}:{each.line}: {printable(each.text)}")
    if broken:
        raise click.ClickException(f"{broken} of {count + broken} files are not valid.")
    click.echo(f"{count} valid.")


def _mistakes(path: Path, settings: Settings) -> dict[Path, Any]:
    try:
        read_file(path, settings.workflow_settings)
    except InvalidWorkflowError as error:
        return {path: error.mistakes}
    return {}


@workflows.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_(*, as_json: bool) -> None:
    """List the workflows of the folder, with the number of their runs in each state."""
    settings = get_settings()
    folder = read_folder(_folder(settings), settings.workflow_settings)
    with open_database(settings) as engine:
        counts = manage_runs.run_counts(engine)
    rows = [output.row_of(each.path.name, each.workflow, counts) for each in folder.files]
    rows += [
        {"workflow": path.name, "on": "", "file": path.name, "runs": {}, "mistakes": len(found)}
        for path, found in folder.mistakes.items()
    ]
    print_rows(rows, output.workflows_table, "The folder has no workflows.", as_json=as_json)


@workflows.command()
@click.option("--workflow", metavar="NAME", help="Only runs of this workflow.")
@click.option(
    "--state", type=click.Choice(_STATES), help="Only runs in this state; ignored runs are listed only with it."
)
@click.option("--limit", default=_DEFAULT_LIMIT, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def runs(*, workflow: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List runs, the newest first."""
    with open_database(get_settings()) as engine:
        rows = manage_runs.list_runs(engine, limit, workflow=workflow, state=state)
    print_rows(rows, output.runs_table, "There are no runs.", as_json=as_json)


@workflows.command()
@click.argument("number", type=int)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def show(*, number: int, as_json: bool) -> None:
    """Show a run and its steps. They contain personal data: take care where you paste them."""
    with open_database(get_settings()) as engine:
        found = manage_runs.find_run(engine, number)
    if found is None:
        raise click.ClickException(f"There is no run {number}. Run `intercom-mirror workflows runs` to list them.")
    run, steps = found
    if as_json:
        click.echo(json.dumps(jsonable(run) | {"steps": [jsonable(step) for step in steps]}))
    else:
        output.print_run(run, steps)


@workflows.command()
@click.argument("number", type=int)
@click.option("--whole", is_flag=True, help="Start a new run for the same change, with the file as it is now.")
def replay(*, number: int, whole: bool) -> None:
    """Continue a run that failed or whose outcome is unknown, from the step that ended it."""
    with open_database(get_settings(), writes=True) as engine:
        try:
            run = manage_runs.replay(engine, number, datetime.now(UTC), whole=whole)
        except manage_runs.ReplayError as error:
            raise click.ClickException(str(error)) from None
    wake_workflows()
    click.echo(f"Run {run} continues." if run == number else f"Run {run} was started.")


@workflows.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--record", "name", required=True, metavar="ID", help="Intercom's id, external id, company_id or e-mail.")
@click.option("--workspace", metavar="ID", help="The workspace of the record; required if it is ambiguous.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def test(*, file: Path, name: str, workspace: str | None, as_json: bool) -> None:
    """Render every step of a file for a record of the mirror, without calling or changing anything."""
    settings = get_settings()
    try:
        workflow = read_file(file, settings.workflow_settings).workflow
    except InvalidWorkflowError as error:
        lines = "\n".join(f"{file}:{each.line}: {each.text}" for each in error.mistakes)
        raise click.ClickException(f"The file has mistakes.\n{lines}") from None
    record = _record(settings, workflow, name, workspace)
    rendered = list(dry_run.render_steps(workflow, record, settings.workflow_settings, datetime.now(UTC)))
    output.print_dry_run(workflow, dry_run.unmet_conditions(workflow, record), rendered, as_json=as_json)
    if any(each.mistakes for each in rendered):
        raise click.ClickException("A step cannot be executed as it is written.")


def _record(settings: Settings, workflow: Workflow, name: str, workspace: str | None) -> dict[str, Any]:
    kind = workflow.trigger.object_type
    with open_database(settings) as engine, engine.connect() as connection:
        found = records.find(connection, kind, name, workspace)
        if len(found) == 1:
            return records.read(connection, found)[_only(found)]
    if found:
        raise click.ClickException(f"There are {len(found)} such {kind} records. Use its id, or --workspace.")
    raise click.ClickException(f"The mirror has no such {kind}. Check its id in Intercom, or wait for the backfill.")


def _only(found: list[RecordKey]) -> RecordKey:
    return found[0]


def _folder(settings: Settings) -> Path:
    if settings.workflows_dir is None:
        raise click.ClickException("WORKFLOWS_DIR is not set. Set it to the path of the folder with your workflows.")
    return settings.workflows_dir
