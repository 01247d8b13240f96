"""
The command, and what its exit codes mean.

    0  done
    1  it could not be done; the last line says why and what to do
    2  the command line or the settings are wrong; nothing was done
"""

import click

from cli.database import db
from cli.emulate import emulate
from cli.parked import parked
from cli.status import status
from cli.trigger import trigger
from cli.up import up
from settings import SettingsError

_USAGE = 2


class _Group(click.Group):
    """Turns mistakes in the settings into a message; a traceback would only frighten."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            click.echo(str(error), err=True)
            ctx.exit(_USAGE)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="intercom-mirror")
def main() -> None:
    """Mirror Intercom's contacts and companies into SQL tables."""


for command in (up, db, status, parked, trigger, emulate):
    main.add_command(command)
