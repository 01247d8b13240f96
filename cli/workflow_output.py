"""The output of `intercom-mirror workflows`."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.table import Table

from cli.terminal import Row, jsonable, local_time, make_table, printable
from workers.workflows.dry_run import RenderedStep
from workers.workflows.format.workflow import Workflow


def row_of(file: str, workflow: Workflow, counts: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Return the row of a workflow for `list`."""
    return {
        "workflow": workflow.name,
        "on": workflow.trigger.event,
        "file": file,
        "runs": dict(counts.get(workflow.name, {})),
        "mistakes": 0,
    }


def workflows_table(rows: Sequence[Row]) -> Table:
    """Return a table of workflows."""
    cells = []
    for row in rows:
        runs = ", ".join(f"{count} {state}" for state, count in sorted(row["runs"].items())) or "-"
        if row["mistakes"]:
            runs = f"{row['mistakes']} mistakes; run `intercom-mirror workflows check`"
        cells.append([row["workflow"], row["on"], row["file"], runs])
    return make_table(("workflow", "on", "file", "runs"), cells)


def runs_table(rows: Sequence[Row]) -> Table:
    """Return a table of runs."""
    cells = [
        [
            str(row["id"]),
            row["workflow"],
            row["state"],
            str(row["position"] + 1),
            f"{row['object_type']} {row['object_id']}",
            local_time(row["started_at"]),
            row["error"] or "",
        ]
        for row in rows
    ]
    return make_table(("run", "workflow", "state", "step", "what", "started", "error"), cells)


def print_run(run: Row, steps: Sequence[Row]) -> None:
    """Print a run and its steps."""
    for name, value in jsonable(run).items():
        click.echo(f"{name}: {_text(value)}")
    for step in steps:
        click.echo(f"\nstep {step['position'] + 1}: {step['step']} ({step['kind']})")
        for name in ("state", "attempts", "started_at", "ended_at", "due_at", "error", "input", "output"):
            if step[name] is not None:
                click.echo(f"  {name}: {_text(jsonable(step)[name])}")


def print_dry_run(workflow: Workflow, unmet: Sequence[str], rendered: Sequence[RenderedStep], *, as_json: bool) -> None:
    """Print the result of a dry run."""
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
        click.echo(f"This record would start no run: `where` requires another value of {', '.join(unmet)}.")
    for each in rendered:
        what = each.step.action or each.step.kind
        click.echo(f"{each.step.id} ({what}){f': {each.remark}' if each.remark else ''}")
        if each.input is not None:
            click.echo("  " + printable(json.dumps(each.input, indent=2, ensure_ascii=False)).replace("\n", "\n  "))
        for mistake in each.mistakes:
            click.echo(f"  mistake: {printable(mistake)}")


def _text(value: Any) -> str:
    return printable(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False))
