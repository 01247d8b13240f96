"""What the mirror must hold: a fold of facts in the order of the events, with none of the product's code."""

from collections.abc import Iterable, Iterator
from typing import Any

from tests.laws import wire
from tests.laws.mirrors import Key, Picture
from tests.laws.truth import Fact, Workspace

# What Intercom changes without telling; the mirror does not promise it.
UNTOLD = frozenset({"user_count", "session_count", "last_request_at"})

# The lists that a whole object is expected to know all of.
LISTS = {"contact": ("contact_companies", "contact_tags"), "company": ("company_tags",), "tag": ()}
OTHER = {"contact_companies": "company", "contact_tags": "tag", "company_tags": "tag"}
OWNER = {"contact_companies": "contact", "contact_tags": "contact", "company_tags": "company"}


class Belief:
    """What somebody believes who was told these facts, and only these, in the order of the events."""

    def __init__(self, facts: Iterable[Fact]) -> None:
        self.contents: dict[Key, dict[str, Any]] = {}
        self.gone: set[Key] = set()
        self.doubtful: set[Key] = set()
        self.in_part: set[Key] = set()
        self.named: set[Key] = set()
        self.archived: dict[str, bool] = {}
        self.merges: dict[str, str] = {}
        self.links: dict[tuple[str, str, str], bool] = {}
        # (kind, owner): whether the newest list was all there is.
        self.complete: dict[tuple[str, str], bool] = {}
        for name, *values in facts:
            getattr(self, f"_{name}")(*values)

    def known(self) -> set[Key]:
        return self.named | self.gone | self.contents.keys()

    def must_doubt(self, key: Key) -> bool:
        """Whether the facts are not enough to say what the object is."""
        if key in self.doubtful or key in self.in_part or key not in self.contents:
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
        self.in_part.discard(key)

    def _part(self, object_type: str, object_id: str, fields: dict[str, Any]) -> None:
        key = object_type, object_id
        if key not in self.contents:
            self.in_part.add(key)
        self.contents[key] = self.contents.get(key, {}) | fields
        self.gone.discard(key)

    def _gone(self, object_type: str, object_id: str) -> None:
        key = object_type, object_id
        self.gone.add(key)
        self.contents.pop(key, None)
        self.in_part.discard(key)

    def _merged(self, source: str, survivor: str) -> None:
        self.merges[source] = survivor

    def _archived(self, contact_id: str, archived: bool) -> None:  # noqa: FBT001 -- a fact is a plain tuple
        self.archived[contact_id] = archived
        self.named.add(("contact", contact_id))

    def _doubt(self, object_type: str, object_id: str) -> None:
        self.doubtful.add((object_type, object_id))
        self.named.add((object_type, object_id))

    def _pair(self, kind: str, owner: str, other: str, present: bool) -> None:  # noqa: FBT001 -- a fact is a plain tuple
        self.links[kind, owner, other] = present
        if present:
            self.named.add((OTHER[kind], other))

    def _list(self, kind: str, owner: str, ids: list[str], complete: bool) -> None:  # noqa: FBT001 -- a fact is a plain tuple
        if complete:
            for link in self.links:
                if link[:2] == (kind, owner):
                    self.links[link] = False
        self.links |= dict.fromkeys(((kind, owner, other) for other in ids), True)
        self.complete[kind, owner] = complete
        self.named |= {(OTHER[kind], other) for other in ids}


def complaints(picture: Picture, belief: Belief) -> Iterator[str]:
    """Name each object that the mirror holds for certain although the facts it was told say otherwise."""
    for key in sorted(belief.known() - picture.dirty):
        if key in belief.gone:
            if key in picture.rows:
                yield f"{key} is gone, but has a row"
        elif belief.must_doubt(key):
            yield f"{key} is not known well enough, but is not in doubt"
        else:
            yield from _differences(picture, belief, key)
    for key in sorted(picture.rows.keys() - belief.known() - picture.dirty):
        yield f"{key} was never told of, but has a row"
    if picture.merges != belief.merges:
        yield f"merges {picture.merges} should be {belief.merges}"


def _differences(picture: Picture, belief: Belief, key: Key) -> Iterator[str]:
    row = picture.rows.get(key)
    if row is None:
        yield f"{key} has no row"
        return
    held, told = _certain(row.raw), _certain(belief.contents[key])
    if held != told:
        yield f"{key} holds {_only(held, told)}, was told {_only(told, held)}"
    if key[0] == "contact" and row.archived != belief.archived.get(key[1], False):
        yield f"{key} archived {row.archived}"
    for kind in LISTS[key[0]]:
        held_ids, told_ids = picture.members(kind, key[1]), belief.members(kind, key[1])
        if wrong := {other for other in held_ids ^ told_ids if (OTHER[kind], other) not in picture.dirty}:
            yield f"{key} {kind}: {sorted(wrong & held_ids)} too many, {sorted(wrong & told_ids)} missing"


def differences(picture: Picture, space: Workspace) -> Iterator[str]:
    """Name whatever in the tables is not as in the workspace, once nothing is left to do."""
    for key in sorted(picture.dirty):
        yield f"{key} is still in doubt"
    truth = true_rows(space)
    for key in sorted(picture.rows.keys() - truth.keys()):
        yield f"{key} does not exist, but has a row"
    for key in sorted(_expected(space) - picture.rows.keys()):
        yield f"{key} exists, but has no row"
    for key in sorted(picture.rows.keys() & truth.keys()):
        held, true = _certain(picture.rows[key].raw), _certain(truth[key])
        if held != true:
            yield f"{key} holds {_only(held, true)}, is {_only(true, held)}"
        if not all(picture.rows[key].complete.values()):
            yield f"{key} should know all members of its lists"
    yield from _wrong_links(picture, space)


def true_rows(space: Workspace) -> dict[Key, dict[str, Any]]:
    """Return every object that exists, in canonical form."""
    contacts = {("contact", id_): wire.canonical_contact(contact) for id_, contact in space.contacts.items()}
    companies = {
        ("company", id_): wire.canonical_company(company, space.user_count(company))
        for id_, company in space.companies.items()
    }
    tags = {("tag", id_): {"type": "tag", "id": id_, "name": name} for id_, name in space.tags.items()}
    return {**contacts, **companies, **tags}


def _expected(space: Workspace) -> set[Key]:
    """Everything that exists but the companies and tags that nothing ever named."""
    named = {("company", other) for contact in space.contacts.values() for other in contact.companies}
    named |= {("tag", other) for contact in space.contacts.values() for other in contact.tags}
    told = {("company", id_) for id_ in space.companies if not id_.startswith("old")}
    return named | told | {("contact", id_) for id_ in space.contacts}


def _wrong_links(picture: Picture, space: Workspace) -> Iterator[str]:
    contacts = space.contacts.values()
    firms = [firm for firm in space.companies.values() if ("company", firm.id) in picture.rows]
    true = {("contact_companies", contact.id, other) for contact in contacts for other in contact.companies}
    true |= {("contact_tags", contact.id, other) for contact in contacts for other in contact.tags}
    true |= {("company_tags", firm.id, other) for firm in firms for other in firm.tags}
    if picture.links != true:
        yield f"links {sorted(picture.links - true)} too many, {sorted(true - picture.links)} missing"
    for contact in contacts:
        row = picture.rows.get(("contact", contact.id))
        if row and row.archived != contact.archived:
            yield f"{contact.id} archived {row.archived}"
    for source in space.redirects:
        if not _chain(space, source) & space.untold and picture.redirects.get(source) != space.survivor(source):
            yield f"{source} leads to {picture.redirects.get(source)}, not to {space.survivor(source)}"


def _chain(space: Workspace, source: str) -> set[str]:
    links = set()
    while source in space.redirects:
        links.add(source)
        source = space.redirects[source]
    return links


def _certain(fields: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in fields.items() if key not in UNTOLD}


def _only(one: dict[str, Any], other: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key not in other or other[key] != value}
