"""A workspace kept in a file, so that the demo's mirror and its pretend Intercom still agree after a restart."""

from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from emulator.workspace import EmulatedWorkspace
from emulator.workspace_records import CompanyRecord, ContactRecord, Ids, MergeRecord, TagRecord


@dataclass
class WorkspaceSnapshot:
    """Everything that a workspace remembers, except its dice."""

    workspace_id: str
    contacts: list[ContactRecord]
    companies: list[CompanyRecord]
    tags: list[TagRecord]
    redirects: dict[str, str]
    deleted_contacts: Ids
    deleted_companies: Ids
    merges: list[MergeRecord] = field(default_factory=list)


def save_workspace(workspace: EmulatedWorkspace, path: Path) -> None:
    """Write the workspace to a file, whole or not at all; only its owner can read it."""
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
    beside = path.with_name(path.name + ".new")
    beside.touch(0o600)
    beside.write_bytes(msgspec.json.encode(snapshot))
    beside.replace(path)


def load_workspace(workspace: EmulatedWorkspace, path: Path) -> bool:
    """Fill an empty workspace from a file; False if there is no readable file of this workspace."""
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
