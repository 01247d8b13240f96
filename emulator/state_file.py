"""Stores a workspace in a file, so that the demo's tables and its emulated workspace still agree after a restart."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from emulator.workspace import EmulatedWorkspace
from emulator.workspace_records import CompanyRecord, ContactRecord, IdSet, MergeRecord, TagRecord


@dataclass
class WorkspaceSnapshot:
    """The content of a workspace, without its random numbers. The field names are the keys of the file."""

    workspace_id: str
    contacts: list[ContactRecord]
    companies: list[CompanyRecord]
    tags: list[TagRecord]
    redirects: dict[str, str]
    deleted_contacts: IdSet
    deleted_companies: IdSet
    merges: list[MergeRecord] = field(default_factory=list)


def save_workspace(workspace: EmulatedWorkspace, path: Path) -> None:
    """Write the workspace to a file atomically; only the file's owner can read it."""
    snapshot = WorkspaceSnapshot(
        workspace.workspace_id,
        list(workspace.contacts.values()),
        list(workspace.companies.values()),
        list(workspace.tags.values()),
        workspace.redirects,
        workspace.deleted_contacts,
        workspace.deleted_companies,
        workspace.merges,
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(path.name + ".new")
    temporary.touch(0o600)
    temporary.write_bytes(msgspec.json.encode(snapshot))
    temporary.replace(path)


def load_workspace(workspace: EmulatedWorkspace, path: Path) -> bool:
    """Load a file into an empty workspace. Return False if there is no readable file of this workspace."""
    try:
        snapshot = msgspec.json.decode(path.read_bytes(), type=WorkspaceSnapshot)
    except (FileNotFoundError, msgspec.MsgspecError):
        return False
    if snapshot.workspace_id != workspace.workspace_id:
        return False
    workspace.restore(snapshot.contacts, snapshot.companies, snapshot.tags)
    workspace.redirects.update(snapshot.redirects)
    workspace.deleted_contacts.update(snapshot.deleted_contacts)
    workspace.deleted_companies.update(snapshot.deleted_companies)
    workspace.merges.extend(snapshot.merges)
    return True
