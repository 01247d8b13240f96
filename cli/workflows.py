"""`intercom-mirror workflows`: check files, try them out, and look at what became of runs."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from cli import workflow_output as screen
from cli.tables import engine_of
from settings import Settings, get_settings
from workers.runtime.wakeup import wake_workflows
from workers.workflows import dry_run
from workers.workflows.engine import history
from workers.workflows.files import read_file, read_folder
from workers.workflows.format.workflow import InvalidWorkflowError, Workflow
from workers.workflows.triggers import records
from workers.workflows.triggers.records import RecordKey

# Runs that `runs` lists if it is not told how many.
_LISTED = 50

_STATES = ("held", "queued", "done", "stopped", "failed", "unknown", "ignored")


@click.group()
def workflows() -> None:
    """Check and test workflow files, and list their runs."""


@workflows.command()
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
def check(paths: tuple[Path, ...]) -> None:
    """
    Check files, or those of the folder WORKFLOWS_DIR, and name every mistake with its line.

    Exit code 1 if there is one.
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
                click.echo(f"{file}:{each.line}: {screen.printable(each.text)}")
    if broken:
        raise click.ClickException(f"{broken} of {count + broken} files cannot be used.")
    click.echo(f"{count} in order.")


def _mistakes(path: Path, settings: Settings) -> dict[Path, Any]:
    try:
        read_file(path, settings.workflow_settings)
    except InvalidWorkflowError as error:
        return {path: error.mistakes}
    return {}


@workflows.command("list")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def list_(*, as_json: bool) -> None:
    """List the workflows of the folder, and how many runs of each are in which state."""
    settings = get_settings()
    folder = read_folder(_folder(settings), settings.workflow_settings)
    with engine_of(settings) as engine:
        counts = history.run_counts(engine)
    rows = [screen.row_of(each.path.name, each.workflow, counts) for each in folder.files]
    rows += [
        {"workflow": path.name, "on": "", "file": path.name, "runs": {}, "mistakes": len(found)}
        for path, found in folder.mistakes.items()
    ]
    screen.say(rows, screen.workflows_table, "The folder has no workflows.", as_json=as_json)


@workflows.command()
@click.option("--workflow", metavar="NAME", help="Only of this one.")
@click.option("--state", type=click.Choice(_STATES), help="Only in this state; ignored ones are shown only so.")
@click.option("--limit", default=_LISTED, show_default=True, type=click.IntRange(1), help="How many.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object per line.")
def runs(*, workflow: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List runs, the newest first."""
    with engine_of(get_settings()) as engine:
        rows = history.list_runs(engine, limit, workflow=workflow, state=state)
    screen.say(rows, screen.runs_table, "There are no runs.", as_json=as_json)


@workflows.command()
@click.argument("number", type=int)
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def show(*, number: int, as_json: bool) -> None:
    """Show a run and its steps with input and output. They hold personal data: mind where you paste them."""
    with engine_of(get_settings()) as engine:
        found = history.find_run(engine, number)
    if found is None:
        raise click.ClickException(f"There is no run {number}. Look at `intercom-mirror workflows runs`.")
    run, steps = found
    if as_json:
        click.echo(json.dumps(screen.written(run) | {"steps": [screen.written(step) for step in steps]}))
    else:
        screen.show(run, steps)


@workflows.command()
@click.argument("number", type=int)
@click.option("--whole", is_flag=True, help="Begin a new run of the same change, with the file as it is now.")
def replay(*, number: int, whole: bool) -> None:
    """Let a run that failed, or of which nobody knows how it ended, go on at the step that ended it."""
    with engine_of(get_settings(), writes=True) as engine:
        try:
            run = history.replay(engine, number, datetime.now(UTC), whole=whole)
        except history.ReplayError as error:
            raise click.ClickException(str(error)) from None
    wake_workflows()
    click.echo(f"Run {run} goes on." if run == number else f"Run {run} was begun.")


@workflows.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--record", "name", required=True, metavar="ID", help="Intercom's id, external id, company_id or e-mail.")
@click.option("--workspace", metavar="ID", help="Where it is, if that is not clear.")
@click.option("--json", "as_json", is_flag=True, help="As one JSON object.")
def test(*, file: Path, name: str, workspace: str | None, as_json: bool) -> None:
    """Fill in every step of a file for a real record of the mirror. Calls nobody and changes nothing."""
    settings = get_settings()
    try:
        workflow = read_file(file, settings.workflow_settings).workflow
    except InvalidWorkflowError as error:
        lines = "\n".join(f"{file}:{each.line}: {each.text}" for each in error.mistakes)
        raise click.ClickException(f"The file has mistakes.\n{lines}") from None
    record = _record(settings, workflow, name, workspace)
    rendered = list(dry_run.render_steps(workflow, record, settings.workflow_settings, datetime.now(UTC)))
    screen.rehearsal(workflow, dry_run.unmet_conditions(workflow, record), rendered, as_json=as_json)
    if any(each.mistakes for each in rendered):
        raise click.ClickException("A step could not be done as it is written.")


def _record(settings: Settings, workflow: Workflow, name: str, workspace: str | None) -> dict[str, Any]:
    kind = workflow.trigger.object_type
    with engine_of(settings) as engine, engine.connect() as connection:
        found = records.find(connection, kind, name, workspace)
        if len(found) == 1:
            return records.read(connection, found)[_only(found)]
    if found:
        raise click.ClickException(f"There are {len(found)} such {kind} records. Name one by its id, or --workspace.")
    raise click.ClickException(f"The mirror has no such {kind}. Look for its id in Intercom, or wait for the backfill.")


def _only(found: list[RecordKey]) -> RecordKey:
    return found[0]


def _folder(settings: Settings) -> Path:
    if settings.workflows_dir is None:
        raise click.ClickException("WORKFLOWS_DIR is not set. Write the path of the folder with your workflows there.")
    return settings.workflows_dir
