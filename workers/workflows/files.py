"""The directory of workflow files: read at the start and when a file changes, and stored in SQL."""

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
from workers.workflows.engine.run_store import insert_new
from workers.workflows.format.parser import parse_workflow
from workers.workflows.format.workflow import InvalidWorkflowError, Mistake, Workflow

log = structlog.get_logger()

# Bytes of a file: enough for hundreds of steps.
_MAX_FILE_BYTES = 512 * 1024


class WorkflowFile(NamedTuple):
    """A file without mistakes."""

    path: Path
    text: str
    digest: str
    workflow: Workflow


class WorkflowFolder(NamedTuple):
    """The files of a directory; `mistakes` are those of the files that cannot be used."""

    files: list[WorkflowFile]
    mistakes: dict[Path, list[Mistake]]


def read_folder(directory: Path, settings: Collection[str] | None) -> WorkflowFolder:
    """Read all *.yaml and *.yml files. A workflow name that an earlier file has is a mistake of the later file."""
    files: dict[str, WorkflowFile] = {}
    mistakes: dict[Path, list[Mistake]] = {}
    for path in _paths(directory):
        try:
            file = read_file(path, settings)
            name = file.workflow.name
            if other := files.get(name):
                raise _file_error(f"{other.path.name} has the name {name} too. Use another name.")
            files[name] = file
        except InvalidWorkflowError as error:
            mistakes[path] = error.mistakes
    return WorkflowFolder(list(files.values()), mistakes)


def _paths(directory: Path) -> list[Path]:
    return sorted(path for path in directory.glob("*") if path.suffix in (".yaml", ".yml") and path.is_file())


def read_file(path: Path, settings: Collection[str] | None) -> WorkflowFile:
    """
    Read one file.

    Args:
        path: of the file.
        settings: see `workers.workflows.format.parser.parse_workflow`.

    Raises:
        InvalidWorkflowError: it cannot be used.
    """
    try:
        if path.stat().st_size > _MAX_FILE_BYTES:
            raise _file_error(f"The file has more than {_MAX_FILE_BYTES} bytes. Split it into several workflows.")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise _file_error(f"The file could not be read ({type(error).__name__}).") from None
    return WorkflowFile(path, text, hashlib.sha256(text.encode()).hexdigest(), parse_workflow(text, settings))


def _file_error(text: str) -> InvalidWorkflowError:
    """Return the error of a file as a whole."""
    return InvalidWorkflowError([Mistake(1, text)])


class ActiveWorkflow(NamedTuple):
    """A workflow that changes after `since_seq` of the feed may start."""

    workflow: Workflow
    digest: str
    since_seq: int


class WorkflowLibrary:
    """
    The workflows of a process.

    Args:
        directory: of the files; None: no workflows.
        settings: the names in WORKFLOW_SETTINGS.
    """

    def __init__(self, directory: Path | None, settings: Collection[str]) -> None:
        self._directory = directory
        self._settings = settings
        self._last_stamps: tuple[tuple[str, int, int], ...] | None = None
        self._active: list[ActiveWorkflow] = []

    def active(self, engine: Engine, now: datetime) -> list[ActiveWorkflow]:
        """
        Return the workflows that may be started, after reading the files again if one has changed.

        A file with mistakes starts nothing; the log has its mistakes.
        """
        if self._directory is None:
            return []
        stamps = tuple((str(path), *_stamp(path)) for path in _paths(self._directory))
        if stamps != self._last_stamps:
            folder = read_folder(self._directory, self._settings)
            for path, mistakes in folder.mistakes.items():
                for each in mistakes:
                    log.error("workflow file cannot be used", file=path.name, line=each.line, mistake=each.text)
            with transaction(engine) as connection:
                self._active = [_store(connection, each, now) for each in folder.files]
            self._last_stamps = stamps
            log.info("workflow files read", workflows=len(folder.files), broken=len(folder.mistakes))
        return self._active


def _stamp(path: Path) -> tuple[int, int]:
    try:
        status = path.stat()
    except OSError:
        return 0, 0
    return status.st_mtime_ns, status.st_size


def _store(connection: Connection, file: WorkflowFile, now: datetime) -> ActiveWorkflow:
    name = file.workflow.name
    insert_new(connection, workflow_sources, {"digest": file.digest, "text": file.text})
    # A new workflow begins with the changes from now on.
    last_seq = change_feed.last_seq(connection)
    insert_new(connection, workflow_files, {"name": name, "digest": file.digest, "since_seq": last_seq, "seen_at": now})
    f = workflow_files.c
    connection.execute(update(workflow_files).where(f.name == name, f.digest != file.digest).values(digest=file.digest))
    since_seq = connection.execute(select(f.since_seq).where(f.name == name)).scalar_one()
    return ActiveWorkflow(file.workflow, file.digest, int(since_seq))


def load_workflow(connection: Connection, digest: str) -> Workflow:
    """
    Return the workflow with this digest from the stored texts.

    Raises:
        InvalidWorkflowError: an older version of the product accepted the text, and this one does not.
    """
    text = connection.execute(select(workflow_sources.c.text).where(workflow_sources.c.digest == digest)).scalar_one()
    return parse_workflow(text)
