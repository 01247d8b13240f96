"""
The command `intercom-mirror`, and the meaning of its exit codes.

    0  success
    1  failure; the last line of the output gives the reason and what to do
    2  the command line or the settings are invalid; nothing was done

`verify` has two more: 3 the tables differ from Intercom, 4 the comparison could not be completed.
"""

import importlib
from typing import NamedTuple

import click

_USAGE = 2


class _Entry(NamedTuple):
    """
    Where a command is, and its short help.

    The help stands here too because `--help` would otherwise import every command, which takes two seconds. A test
    compares it with the command's own.
    """

    module: str
    help: str


# In the order in which they are listed. Each is imported when it is called: most need neither SQL nor the emulator.
COMMANDS = {
    "up": _Entry("cli.up", "Run everything on this machine."),
    "web": _Entry("cli.processes", "Serve HTTP: notifications, the connect page and the API."),
    "worker": _Entry("cli.processes", "Run background tasks from some or all queues."),
    "beat": _Entry("cli.processes", "Send the periodic doorbells; run exactly one."),
    "backfill": _Entry("cli.backfill", "Read everything in a workspace from Intercom into the tables."),
    "db": _Entry("cli.database", "Create and upgrade the tables."),
    "doctor": _Entry("cli.doctor", "Check settings, Redis, the database, Intercom and connections."),
    "emulate": _Entry("cli.emulate", "Run the Intercom emulator by itself."),
    "endpoints": _Entry("cli.endpoints", "Manage outgoing webhooks."),
    "parked": _Entry("cli.parked", "List and replay notifications that could not be applied."),
    "reconcile": _Entry("cli.reconcile", "Read from Intercom what changed since the last run."),
    "status": _Entry("cli.status", "Show rows, rates, lag, the inbox and the latest changes."),
    "token": _Entry("cli.token", "Print a user token for USER; in development only."),
    "trigger": _Entry("cli.trigger", "Send a signed example of TOPIC to the web process."),
    "verify": _Entry("cli.verify", "Compare the tables with Intercom."),
    "workflows": _Entry("cli.workflows", "Check and test workflow files, and list their runs."),
}


class _Group(click.Group):
    """Imports commands late, and turns invalid settings into a message instead of a traceback."""

    def list_commands(self, _ctx: click.Context) -> list[str]:
        """Return the names in the order of COMMANDS."""
        return list(COMMANDS)

    def get_command(self, _ctx: click.Context, name: str) -> click.Command | None:
        """Import and return a command; None if there is none of that name."""
        if name not in COMMANDS:
            return None
        command: click.Command = getattr(importlib.import_module(COMMANDS[name].module), name)
        return command

    def format_commands(self, _ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, entry.help) for name, entry in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> object:
        """Run a command; invalid settings end with a message and exit code 2."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            from settings import SettingsError  # noqa: PLC0415 -- 0.4 s, and `--help` needs no settings

            if not isinstance(error, SettingsError):
                raise
            click.echo(str(error), err=True)
            ctx.exit(_USAGE)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="intercom-mirror")
def main() -> None:
    """Mirror Intercom's contacts and companies into SQL tables."""
