"""What the mirror must contain: the facts applied in the order of the events, without the product's code."""

from collections.abc import Iterable, Iterator
from typing import Any

from tests.laws import wire
from tests.laws.mirrors import Key, Snapshot
from tests.laws.true_workspace import Fact, TrueWorkspace

# Keys that Intercom changes without a notification; the mirror does not guarantee them.
UNREPORTED = frozenset({"user_count", "session_count", "last_request_at"})

# The lists of which a whole object must have all members.
LISTS = {"contact": ("contact_companies", "contact_tags"), "company": ("company_tags",), "tag": ()}
OTHER = {"contact_companies": "company", "contact_tags": "tag", "company_tags": "tag"}
OWNER = {"contact_companies": "contact", "contact_tags": "contact", "company_tags": "company"}


class ExpectedState:
    """The state of a workspace for a reader that received exactly these facts, in the order of the events."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.contents: dict[Key, dict[str, Any]] = {}
        self.gone: set[Key] = set()
        self.dirty: set[Key] = set()
        self.partial: set[Key] = set()
        self.referenced: set[Key] = set()
        self.archived: dict[str, bool] = {}
        self.merges: dict[str, str] = {}
        self.links: dict[tuple[str, str, str], bool] = {}
        # (kind, owner): whether the newest list was complete.
        self.complete: dict[tuple[str, str], bool] = {}
        for name, *values in facts:
            getattr(self, f"_{name}")(*values)

    def known(self) -> set[Key]:
        return self.referenced | self.gone | self.contents.keys()

    def must_be_dirty(self, key: Key) -> bool:
        """Return whether the facts do not determine the object."""
        if key in self.dirty or key in self.partial or key not in self.contents:
            return True
        return not all(self.complete.get((kind, key[1])) for kind in LISTS[key[0]])

    def members(self, kind: str, owner: str) -> set[str]:
        return {
            other
            for (link_kind, link_owner, other), present in self.links.items()
            if present and (link_kind, link_owner) == (kind, owner) and (OTHER[kind], other) not in self.gone
        }

    def _whole(self, object_type: str, object_id: str, fields: dict[str, Any]) -> None:
        key = object_type, object_id
        self.contents[key] = self.contents.get(key, {}) | fields
        self.gone.discard(key)
        self.partial.discard(key)

    def _part(self, object_type: str, object_id: str, fields: dict[str, Any]) -> None:
        key = object_type, object_id
        if key not in self.contents:
            self.partial.add(key)
        self.contents[key] = self.contents.get(key, {}) | fields
        self.gone.discard(key)

    def _gone(self, object_type: str, object_id: str) -> None:
        key = object_type, object_id
        self.gone.add(key)
        self.contents.pop(key, None)
        self.partial.discard(key)

    def _merged(self, source: str, survivor: str) -> None:
        self.merges[source] = survivor

    def _archived(self, contact_id: str, archived: bool) -> None:  # noqa: FBT001 -- a fact is a plain tuple
        self.archived[contact_id] = archived
        self.referenced.add(("contact", contact_id))

    def _dirty(self, object_type: str, object_id: str) -> None:
        self.dirty.add((object_type, object_id))
        self.referenced.add((object_type, object_id))

    def _pair(self, kind: str, owner: str, other: str, present: bool) -> None:  # noqa: FBT001 -- a fact is a plain tuple
        self.links[kind, owner, other] = present
        if present:
            self.referenced.add((OTHER[kind], other))

    def _list(self, kind: str, owner: str, ids: list[str], complete: bool) -> None:  # noqa: FBT001 -- a fact is a plain tuple
        if complete:
            for link in self.links:
                if link[:2] == (kind, owner):
                    self.links[link] = False
        self.links |= dict.fromkeys(((kind, owner, other) for other in ids), True)
        self.complete[kind, owner] = complete
        self.referenced |= {(OTHER[kind], other) for other in ids}


def violations(snapshot: Snapshot, expected: ExpectedState) -> Iterator[str]:
    """Yield each object that is not dirty in the mirror although it differs from the delivered facts."""
    for key in sorted(expected.known() - snapshot.dirty):
        if key in expected.gone:
            if key in snapshot.rows:
                yield f"{key} is gone, but has a row"
        elif expected.must_be_dirty(key):
            yield f"{key} is not known completely, but is not dirty"
        else:
            yield from _differences(snapshot, expected, key)
    for key in sorted(snapshot.rows.keys() - expected.known() - snapshot.dirty):
        yield f"{key} was in no notification, but has a row"
    if snapshot.merges != expected.merges:
        yield f"merges {snapshot.merges} should be {expected.merges}"


def _differences(snapshot: Snapshot, expected: ExpectedState, key: Key) -> Iterator[str]:
    row = snapshot.rows.get(key)
    if row is None:
        yield f"{key} has no row"
        return
    actual, wanted = _certain(row.raw), _certain(expected.contents[key])
    if actual != wanted:
        yield f"{key} has {_only(actual, wanted)}, expected {_only(wanted, actual)}"
    if key[0] == "contact" and row.archived != expected.archived.get(key[1], False):
        yield f"{key} archived {row.archived}"
    for kind in LISTS[key[0]]:
        actual_ids, wanted_ids = snapshot.members(kind, key[1]), expected.members(kind, key[1])
        if wrong := {other for other in actual_ids ^ wanted_ids if (OTHER[kind], other) not in snapshot.dirty}:
            yield f"{key} {kind}: {sorted(wrong & actual_ids)} too many, {sorted(wrong & wanted_ids)} missing"


def differences(snapshot: Snapshot, workspace: TrueWorkspace) -> Iterator[str]:
    """Yield each difference between the tables and the workspace, once no refetch is left to do."""
    for key in sorted(snapshot.dirty):
        yield f"{key} is still dirty"
    truth = true_rows(workspace)
    for key in sorted(snapshot.rows.keys() - truth.keys()):
        yield f"{key} does not exist, but has a row"
    for key in sorted(_expected(workspace) - snapshot.rows.keys()):
        yield f"{key} exists, but has no row"
    for key in sorted(snapshot.rows.keys() & truth.keys()):
        actual, true = _certain(snapshot.rows[key].raw), _certain(truth[key])
        if actual != true:
            yield f"{key} has {_only(actual, true)}, is {_only(true, actual)}"
        if not all(snapshot.rows[key].complete.values()):
            yield f"{key} should have all members of its lists"
    yield from _wrong_links(snapshot, workspace)


def true_rows(workspace: TrueWorkspace) -> dict[Key, dict[str, Any]]:
    """Return every object that exists, in canonical form."""
    contacts = {("contact", id_): wire.canonical_contact(contact) for id_, contact in workspace.contacts.items()}
    companies = {
        ("company", id_): wire.canonical_company(company, workspace.user_count(company))
        for id_, company in workspace.companies.items()
    }
    tags = {("tag", id_): {"type": "tag", "id": id_, "name": name} for id_, name in workspace.tags.items()}
    return {**contacts, **companies, **tags}


def _expected(workspace: TrueWorkspace) -> set[Key]:
    """Return every object that exists, except the companies and tags that no notification referenced."""
    referenced = {("company", other) for contact in workspace.contacts.values() for other in contact.companies}
    referenced |= {("tag", other) for contact in workspace.contacts.values() for other in contact.tags}
    wanted = {("company", id_) for id_ in workspace.companies if not id_.startswith("old")}
    return referenced | wanted | {("contact", id_) for id_ in workspace.contacts}


def _wrong_links(snapshot: Snapshot, workspace: TrueWorkspace) -> Iterator[str]:
    contacts = workspace.contacts.values()
    firms = [firm for firm in workspace.companies.values() if ("company", firm.id) in snapshot.rows]
    true = {("contact_companies", contact.id, other) for contact in contacts for other in contact.companies}
    true |= {("contact_tags", contact.id, other) for contact in contacts for other in contact.tags}
    true |= {("company_tags", firm.id, other) for firm in firms for other in firm.tags}
    if snapshot.links != true:
        yield f"links {sorted(snapshot.links - true)} too many, {sorted(true - snapshot.links)} missing"
    for contact in contacts:
        row = snapshot.rows.get(("contact", contact.id))
        if row and row.archived != contact.archived:
            yield f"{contact.id} archived {row.archived}"
    for source in workspace.redirects:
        if not _chain(workspace, source) & workspace.unreported_merges and snapshot.redirects.get(
            source
        ) != workspace.survivor(source):
            yield f"{source} leads to {snapshot.redirects.get(source)}, not to {workspace.survivor(source)}"


def _chain(workspace: TrueWorkspace, source: str) -> set[str]:
    links = set()
    while source in workspace.redirects:
        links.add(source)
        source = workspace.redirects[source]
    return links


def _certain(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in UNREPORTED}


def _only(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key not in other or other[key] != value}
