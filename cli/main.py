"""
The command, and what its exit codes mean.

    0  done
    1  it could not be done; the last line says why and what to do
    2  the command line or the settings are wrong; nothing was done

`verify` has two more: 3 the tables differ from Intercom, 4 it could not be told.
"""

import importlib

import click

from settings import SettingsError

_USAGE = 2

# Imported when they are called for: most need neither SQL nor the emulator, and `up` stays in memory all day.
_COMMANDS = {
    "backfill": "cli.backfill",
    "db": "cli.database",
    "doctor": "cli.doctor",
    "emulate": "cli.emulate",
    "endpoints": "cli.endpoints",
    "parked": "cli.parked",
    "reconcile": "cli.reconcile",
    "status": "cli.status",
    "token": "cli.token",
    "trigger": "cli.trigger",
    "up": "cli.up",
    "verify": "cli.verify",
    "workflows": "cli.workflows",
}


class _Group(click.Group):
    """Turns mistakes in the settings into a message; a traceback would only frighten."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order in which they are shown."""
        return list(_COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import and return a command; None if there is none of that name."""
        if name not in _COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(_COMMANDS[name]), name)
        return command

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; mistakes in the settings become a message and exit code 2."""
        try:
            return super().invoke(ctx)
        except SettingsError as error:
            click.echo(str(error), err=True)
            ctx.exit(_USAGE)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="intercom-mirror")
def main() -> None:
    """Mirror Intercom's contacts and companies into SQL tables."""
