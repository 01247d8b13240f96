"""What `intercom-mirror workflows` prints."""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cli.words import printable
from workers.workflows.dry_run import RenderedStep
from workers.workflows.format.workflow import Workflow

__all__ = ["printable", "rehearsal", "row_of", "runs_table", "say", "show", "workflows_table", "written"]

Row = dict[str, Any]


def say(rows: Sequence[Row], table: Callable[[Sequence[Row]], Table], nothing: str, *, as_json: bool) -> None:
    """Print rows, as a table or as lines of JSON."""
    if as_json:
        for row in rows:
            click.echo(json.dumps(written(row)))
    elif rows:
        Console().print(table(rows))
    else:
        click.echo(nothing)


def row_of(file: str, workflow: Workflow, counts: Mapping[str, Mapping[str, int]]) -> Row:
    """Return what `list` says of a workflow."""
    return {
        "workflow": workflow.name,
        "on": workflow.trigger.event,
        "file": file,
        "runs": dict(counts.get(workflow.name, {})),
        "mistakes": 0,
    }


def workflows_table(rows: Sequence[Row]) -> Table:
    """Draw the workflows."""
    table = Table("workflow", "on", "file", "runs", box=box.SIMPLE)
    for row in rows:
        runs = ", ".join(f"{count} {state}" for state, count in sorted(row["runs"].items())) or "-"
        told = runs if not row["mistakes"] else f"{row['mistakes']} mistakes; run `intercom-mirror workflows check`"
        table.add_row(*_cells(row["workflow"], row["on"], row["file"], told))
    return table


def runs_table(rows: Sequence[Row]) -> Table:
    """Draw runs."""
    table = Table("run", "workflow", "state", "step", "what", "started", "error", box=box.SIMPLE)
    for row in rows:
        what = f"{row['object_type']} {row['object_id']}"
        table.add_row(
            *_cells(
                str(row["id"]),
                row["workflow"],
                row["state"],
                str(row["position"] + 1),
                what,
                _clock(row["started_at"]),
                row["error"] or "",
            )
        )
    return table


def show(run: Row, steps: Sequence[Row]) -> None:
    """Print a run and its steps."""
    for name, value in written(run).items():
        click.echo(f"{name}: {_text(value)}")
    for step in steps:
        click.echo(f"\nstep {step['position'] + 1}: {step['step']} ({step['kind']})")
        for name in ("state", "attempts", "started_at", "ended_at", "due_at", "error", "input", "output"):
            if step[name] is not None:
                click.echo(f"  {name}: {_text(written(step)[name])}")


def rehearsal(workflow: Workflow, unmet: Sequence[str], rendered: Sequence[RenderedStep], *, as_json: bool) -> None:
    """Print a dry run."""
    if as_json:
        steps = [
            {
                "step": each.step.id,
                "kind": each.step.kind,
                "input": each.input,
                "remark": each.remark,
                "mistakes": each.mistakes,
            }
            for each in rendered
        ]
        click.echo(json.dumps({"workflow": workflow.name, "unmet": list(unmet), "steps": steps}))
        return
    if unmet:
        click.echo(f"This record would start no run: `where` wants another value of {', '.join(unmet)}.")
    for each in rendered:
        what = each.step.action or each.step.kind
        click.echo(f"{each.step.id} ({what}){f': {each.remark}' if each.remark else ''}")
        if each.input is not None:
            click.echo("  " + printable(json.dumps(each.input, indent=2, ensure_ascii=False)).replace("\n", "\n  "))
        for mistake in each.mistakes:
            click.echo(f"  mistake: {printable(mistake)}")


def written(row: Mapping[str, Any]) -> Row:
    """Return a row as JSON has it."""
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _cells(*texts: str) -> list[Text]:
    # As Text, because rich reads markup in plain strings.
    return [Text(printable(text)) for text in texts]


def _text(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))


def _clock(moment: datetime) -> str:
    return moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
