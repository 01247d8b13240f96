"""The option --keep of the long runs."""

from pathlib import Path

import click


def _empty(_context: click.Context, _parameter: click.Parameter, given: Path | None) -> Path | None:
    """Return a directory's whole path, as the processes of a run have directories of their own; refuse a used one."""
    if given is not None and any(given.iterdir()):
        raise click.BadParameter(f"{given} is not empty. Name an empty directory.")
    return given


log_directory_option = click.option(
    "--keep",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    callback=_empty,
    help="An empty directory for the logs, which then stay.",
)
