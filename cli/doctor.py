"""`intercom-mirror doctor`: whether everything is set up, a line for each thing."""

import json
from collections.abc import Iterable, Iterator

import click

from cli.checkup import Finding, findings
from cli.words import printable
from settings import SettingsError, get_settings

_COLORS = {"ok": "green", "warning": "yellow", "failure": "red"}
_WIDTH = max(len(name) for name in _COLORS)


@click.command()
@click.option("--json", "as_json", is_flag=True, help="As JSON: a list of objects with level, what, text, advice.")
@click.pass_context
def doctor(ctx: click.Context, *, as_json: bool) -> None:
    """
    Check settings, Redis, the database, Intercom and connections.

    Exit code 1 if something fails; warnings alone leave it at 0.
    """
    found = _all(show=not as_json)
    if as_json:
        click.echo(json.dumps([each._asdict() for each in found], indent=2))
    ctx.exit(int(any(each.level == "failure" for each in found)))


def _all(*, show: bool) -> list[Finding]:
    """Collect the findings, and show each as soon as it is there: a host that is away takes seconds."""
    found = []
    for each in _findings():
        found.append(each)
        if show:
            _print(each)
    return found


def _findings() -> Iterable[Finding]:
    try:
        settings = get_settings()
    except SettingsError as error:
        return [
            Finding("failure", "settings", mistake, "Change it, then run this again.") for mistake in error.mistakes
        ]
    return _after_settings(findings(settings))


def _after_settings(others: Iterable[Finding]) -> Iterator[Finding]:
    yield Finding("ok", "settings", "Every variable can be used.")
    yield from others


def _print(finding: Finding) -> None:
    level = click.style(f"{finding.level:<{_WIDTH}}", fg=_COLORS[finding.level], bold=finding.level != "ok")
    click.echo(f"{level}  {finding.what}: {printable(finding.text)}")
    if finding.advice:
        click.echo(f"{'':<{_WIDTH}}  -> {printable(finding.advice)}")
