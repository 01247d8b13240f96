"""Keys of objects and links, and the keys that reports touch."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from models.rule.observations import LINKS, Observation, Report


class ObjectKey(NamedTuple):
    """One object of one workspace; sorts in the order in which guard rows are locked."""

    workspace_id: str
    object_type: str
    object_id: str


class LinkKey(NamedTuple):
    """One link of one workspace; `kind` is a name in LINKS."""

    workspace_id: str
    kind: str
    owner_id: str
    other_id: str

    @property
    def owner(self) -> ObjectKey:
        """The object that lists the link."""
        return ObjectKey(self.workspace_id, LINKS[self.kind][0], self.owner_id)

    @property
    def other(self) -> ObjectKey:
        """The object that the link leads to."""
        return ObjectKey(self.workspace_id, LINKS[self.kind][1], self.other_id)


def observed_keys(reports: Iterable[Report]) -> set[ObjectKey]:
    """Return the objects that the reports observe."""
    return {
        ObjectKey(report.workspace_id, observation.type, observation.id)
        for report in reports
        for observation in report.observations
    }


def referenced_keys(reports: Iterable[Report]) -> set[ObjectKey]:
    """
    Return the objects at the other end of links and merges that the reports observe.

    That includes the other end of a link that is removed: another batch may be writing its tombstone.
    """
    keys: set[ObjectKey] = set()
    for report in reports:
        for observation in report.observations:
            keys.update(key for key, _ in references(report.workspace_id, observation))
            for kind, pair in observation.pairs.items():
                keys.add(ObjectKey(report.workspace_id, LINKS[kind][1], pair.other_id))
    return keys


def references(workspace_id: str, observation: Observation) -> Iterator[tuple[ObjectKey, int]]:
    """Yield each object that a present link or a merge leads to, with the unix second of that fact."""
    for kind, listed in observation.lists.items():
        for other_id in listed.ids:
            yield ObjectKey(workspace_id, LINKS[kind][1], other_id), listed.stamp.second
    for kind, pair in observation.pairs.items():
        if pair.present:
            yield ObjectKey(workspace_id, LINKS[kind][1], pair.other_id), pair.stamp.second
    if observation.merged is not None:
        yield ObjectKey(workspace_id, observation.type, observation.merged.into_id), observation.merged.merged_at
