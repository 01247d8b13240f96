"""`intercom-mirror emulate`: the Intercom emulator by itself."""

import click

from emulator.__main__ import main as emulator
from settings import Settings, addresses, get_settings


@click.command(add_help_option=False, context_settings={"ignore_unknown_options": True})
@click.argument("options", nargs=-1, type=click.UNPROCESSED)
def emulate(options: tuple[str, ...]) -> None:
    """Run the Intercom emulator by itself. `--help` lists its options; the settings give their defaults."""
    # If an option is given twice, click uses the later one.
    emulator.main([*defaults(get_settings()), *options], prog_name="intercom-mirror emulate", standalone_mode=False)


def defaults(settings: Settings) -> list[str]:
    """Return the options that the settings determine."""
    target = f"{addresses.http_url(settings.host, settings.port)}/webhooks/intercom"
    return ["--port", str(settings.emulator_port), "--target", target, "--secret", settings.client_secrets[0]]
