"""What a newcomer sees once everything runs."""

import os
import sys
from pathlib import Path

from settings import Settings, addresses


def welcome(settings: Settings) -> str:
    """Return a headline and some lines that tell what to look at next."""
    lines = ["", "The mirror runs. Look at, in another terminal or in a browser:"]
    lines += [f"  {title:<24}{what}" for title, what in _places(settings)]
    if settings.local_emulator_port is not None:
        lines.append(f"  (the operator's token is {settings.admin_token})")
    return "\n".join([*lines, "Ctrl-C stops everything.", ""])


def _places(settings: Settings) -> list[tuple[str, str]]:
    rows = ("rows as they arrive", f"{_command()} status --watch")
    ready = ("whether all is well", f"{addresses.http_url(settings.host, settings.port)}/readyz")
    if settings.local_emulator_port is not None:
        page = ("a pretend Intercom", f"http://127.0.0.1:{settings.local_emulator_port}  (change a contact there)")
        connect = ("connecting a workspace", f'echo "{settings.public_url}/connect?token=$({_command()} token me)"')
        return [rows, page, connect, ready]
    return [rows, ("address for Intercom", f"{settings.public_url}/webhooks/intercom"), ready]


def _command() -> str:
    """Return how this command can be typed here: it is on the path only if its environment is active."""
    name = Path(sys.argv[0])
    if name.name != "intercom-mirror":
        return "python -m cli"
    try:
        return str(name.absolute().relative_to(Path.cwd()))
    except ValueError:
        return os.fspath(name)
