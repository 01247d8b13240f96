"""The option --keep of the long runs."""

from pathlib import Path

import click


def _require_empty(_context: click.Context, _parameter: click.Parameter, directory: Path | None) -> Path | None:
    """Return the directory; refuse one that is in use."""
    if directory is not None and any(directory.iterdir()):
        raise click.BadParameter(f"{directory} is not empty. Name an empty directory.")
    return directory


# The path is made absolute, because the processes of a run have working directories of their own.
log_directory_option = click.option(
    "--keep",
    type=click.Path(path_type=Path, exists=True, file_okay=False, resolve_path=True),
    callback=_require_empty,
    help="An empty directory in which the logs are kept.",
)
