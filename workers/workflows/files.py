"""The folder of workflows: read at the start and again when a file changes, and remembered in SQL."""

import hashlib
from collections.abc import Collection
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import structlog
from sqlalchemy import Connection, Engine, select, update

from models.db.engine import transaction
from models.queries import change_feed
from models.tables.workflow_tables import workflow_files, workflow_sources
from workers.workflows.format.parser import mistake, read
from workers.workflows.format.workflow import InvalidWorkflowError, Mistake, Workflow
from workers.workflows.rows import insert_new

log = structlog.get_logger()

# Bytes of a file: hundreds of steps.
_LARGEST = 512 * 1024


class WorkflowFile(NamedTuple):
    """One file that is in order."""

    path: Path
    text: str
    digest: str
    workflow: Workflow


class WorkflowFolder(NamedTuple):
    """What a folder holds; `mistakes` by the file that they are in."""

    files: list[WorkflowFile]
    mistakes: dict[Path, list[Mistake]]


def read_folder(directory: Path, settings: Collection[str] | None) -> WorkflowFolder:
    """Read every *.yaml and *.yml; two of one name are a mistake of the second."""
    files: dict[str, WorkflowFile] = {}
    mistakes: dict[Path, list[Mistake]] = {}
    for path in paths(directory):
        try:
            found = read_file(path, settings)
            if other := files.get(found.workflow.name):
                raise mistake(f"{other.path.name} has the name {found.workflow.name} too. Give this one another.")
            files[found.workflow.name] = found
        except InvalidWorkflowError as error:
            mistakes[path] = error.mistakes
    return WorkflowFolder(list(files.values()), mistakes)


def paths(directory: Path) -> list[Path]:
    """Return the files of a folder, sorted."""
    return sorted(path for path in directory.glob("*") if path.suffix in (".yaml", ".yml") and path.is_file())


def read_file(path: Path, settings: Collection[str] | None) -> WorkflowFile:
    """
    Read one file.

    Raises:
        MistakesError: it cannot be used.
    """
    try:
        if path.stat().st_size > _LARGEST:
            raise mistake(f"The file has more than {_LARGEST} bytes. Make several workflows of it.")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise mistake(f"The file cannot be read ({type(error).__name__}).") from None
    return WorkflowFile(path, text, hashlib.sha256(text.encode()).hexdigest(), read(text, settings))


class ActiveWorkflow(NamedTuple):
    """A workflow that may be started by lines of the feed after `since_seq`."""

    workflow: Workflow
    digest: str
    since_seq: int


class WorkflowLibrary:
    """The workflows of this process's folder; looks for changes whenever it is asked."""

    def __init__(self, directory: Path | None, settings: Collection[str]) -> None:
        self._directory = directory
        self._settings = settings
        self._looked: tuple[tuple[str, int, int], ...] | None = None
        self._in_force: list[ActiveWorkflow] = []

    def active(self, engine: Engine, now: datetime) -> list[ActiveWorkflow]:
        """Return what may be started; a file with mistakes starts nothing, and the log says which it has."""
        if self._directory is None:
            return []
        seen = tuple((str(path), *_stamp(path)) for path in paths(self._directory))
        if seen != self._looked:
            folder = read_folder(self._directory, self._settings)
            for path, found in folder.mistakes.items():
                for each in found:
                    log.error("a workflow cannot be used", file=path.name, line=each.line, mistake=each.text)
            with transaction(engine) as connection:
                self._in_force = [_remember(connection, each, now) for each in folder.files]
            self._looked = seen
            log.info("workflows were read", workflows=len(folder.files), broken=len(folder.mistakes))
        return self._in_force


def _stamp(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _remember(connection: Connection, file: WorkflowFile, now: datetime) -> ActiveWorkflow:
    name = file.workflow.name
    insert_new(connection, workflow_sources, {"digest": file.digest, "text": file.text})
    # A new workflow begins with what changes from now on.
    newest = change_feed.last_seq(connection)
    insert_new(connection, workflow_files, {"name": name, "digest": file.digest, "since_seq": newest, "seen_at": now})
    f = workflow_files.c
    connection.execute(update(workflow_files).where(f.name == name, f.digest != file.digest).values(digest=file.digest))
    since = connection.execute(select(f.since_seq).where(f.name == name)).scalar_one()
    return ActiveWorkflow(file.workflow, file.digest, int(since))


def of_digest(connection: Connection, digest: str) -> Workflow:
    """
    Return the workflow of a text that was read once.

    Raises:
        MistakesError: an older version took it, and this one does not.
    """
    text = connection.execute(select(workflow_sources.c.text).where(workflow_sources.c.digest == digest)).scalar_one()
    return read(text)
