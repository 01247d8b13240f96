"""Runs Celery's commands `worker` and `beat` inside the command `intercom-mirror`."""

import importlib
import sys
from typing import Any, NoReturn

from celery.loaders.app import AppLoader


class InstalledLoader(AppLoader):  # type: ignore[misc]
    """
    Imports modules as Python does.

    Celery's own loader puts the current directory at the front of `sys.path` for each import, where a `models.py` of
    another project would replace ours.
    """

    def import_from_cwd(self, module: str, imp: Any = None, package: str | None = None) -> Any:
        """Import a module, but not from the current directory."""
        return (imp or self.import_module)(module, package=package)


class _State:
    """Whether this process was started by `run`."""

    running = False


def run(*arguments: str) -> NoReturn:
    """
    Run a Celery command in this process until it ends.

    Signals, exit codes and the process tree are those of `celery --app workers ...`.

    Args:
        arguments: the command, `worker` or `beat`, and its options.

    Raises:
        SystemExit: always, with Celery's exit code.
    """
    # Imported before Celery looks for them: it would look in the current directory first.
    importlib.import_module("workers.celery")
    importlib.import_module("workers.tasks")
    from celery.bin.celery import celery  # noqa: PLC0415 -- 0.2 s, which a process that sends doorbells does without

    _State.running = True
    celery.main(
        ["--quiet", "--app", "workers.celery:app", *arguments],
        prog_name="intercom-mirror",
        auto_envvar_prefix="CELERY",
    )
    # In standalone mode, click's default, `main` ends with SystemExit.
    sys.exit()


def deprecated_command() -> str | None:
    """Return the command that replaces the one that started this process; None if that is the current one."""
    if _State.running:
        return None
    return "intercom-mirror beat" if "beat" in sys.argv else "intercom-mirror worker"
