"""
What the mirror learns, as plain values: observations (facts about one object) and the reports that carry them.

Facts order themselves: of two facts about the same thing the greater one wins, whichever arrived first.
"""

from typing import Any, Literal, NamedTuple

import msgspec

ObjectType = Literal["contact", "company", "tag", "segment"]
Source = Literal["webhook", "backfill", "reconcile", "refetch", "write_through"]

# The link tables, each with the type of the owner and the type of the other end. The owner is the object whose list
# has the link.
LINKS: dict[str, tuple[str, str]] = {
    "contact_companies": ("contact", "company"),
    "contact_tags": ("contact", "tag"),
    "contact_segments": ("contact", "segment"),
    "company_tags": ("company", "tag"),
    "company_segments": ("company", "segment"),
}

# The rank of a stamp that comes from a fetch: within one second it beats what a notification's topic states about a
# link.
FETCH_RANK = 2

# The second of every partial form: before the year 1, so that every whole form is newer.
PARTIAL_SECOND = -(10**12)


class Version(NamedTuple):
    """
    How new a content is. Versions compare field by field, in this order.

    Args:
        second: updated_at in whole UTC seconds, which is all that REST gives; PARTIAL_SECOND for a partial form.
        fetched: 1 for a fetch, which within one second beats a webhook (0).
        fine: milliseconds: a fetch's as_of, or a webhook's updated_at; -1 if unknown.
        created_at: the notification's created_at in unix seconds; 0 for a fetch.
        notification_id: "" for a fetch.
    """

    second: int
    fetched: int
    fine: int
    created_at: int
    notification_id: str


class Stamp(NamedTuple):
    """
    How new a fact about links is. Stamps compare field by field, in this order.

    Args:
        second: the notification's created_at, or a fetch's as_of, in whole UTC seconds.
        rank: 0 for a list inside a notification's object, 1 for a topic, FETCH_RANK for a fetch.
        fine: the milliseconds of a fetch's as_of.
        notification_id: "" for a fetch.
    """

    second: int
    rank: int
    fine: int
    notification_id: str


class ArchivedFact(NamedTuple):
    """Whether an object is archived, as of the notification's `created_at` (unix seconds)."""

    created_at: int
    notification_id: str
    archived: bool


class ListFact(NamedTuple):
    """The members of one list of the observed object: all of them if `complete`, otherwise some of them."""

    stamp: Stamp
    ids: tuple[str, ...]
    complete: bool


class PairFact(NamedTuple):
    """One link of the observed object was added (`present`) or removed."""

    stamp: Stamp
    other_id: str
    present: bool


class MergeFact(NamedTuple):
    """The observed contact became part of the contact `into_id`, at `merged_at` (unix seconds)."""

    into_id: str
    merged_at: int


class Observation(msgspec.Struct, frozen=True):
    """
    What was learnt about one object at one time.

    Args:
        type: an ObjectType.
        id: Intercom's id.
        content: the canonical object; comes with its version.
        version: how new the content is.
        lists: complete or partial lists of links, by a name in LINKS.
        pairs: single links, by a name in LINKS.
        deleted_at_ms: the last instant, in milliseconds, at which the deletion may have happened.
        merged: the contact that this one became part of.
        archived: whether it is archived, and as of when.
        confirmed_at_ms: as_of, in milliseconds, of a GET by id that found the object. None for lists and searches,
            which lag.
        from_listing: the source is a list or a search. Where it differs from the mirror, only a GET by id can decide.
        refetched_from: the value of the dirty counter at the start of the refetch.
        needs_refetch: the object changed in a way that the notification does not contain.
        referenced_at: unix second at which another object referenced this one in a link.
    """

    type: str
    id: str
    content: dict[str, Any] | None = None
    version: Version | None = None
    lists: dict[str, ListFact] = {}
    pairs: dict[str, PairFact] = {}
    deleted_at_ms: int | None = None
    merged: MergeFact | None = None
    archived: ArchivedFact | None = None
    confirmed_at_ms: int | None = None
    from_listing: bool = False
    refetched_from: int | None = None
    needs_refetch: bool = False
    referenced_at: int | None = None

    @property
    def only_links(self) -> bool:
        """Whether the observation consists of single links, so that the object's content is not needed."""
        others = (self.content, self.deleted_at_ms, self.merged, self.archived, self.confirmed_at_ms)
        return bool(self.pairs) and not self.lists and all(fact is None for fact in others)


class NotificationMeta(msgspec.Struct, frozen=True):
    """
    What the ledger stores of a notification.

    Args:
        id: Intercom's id of the notification.
        topic: Intercom's topic, such as "contact.user.updated".
        created_at: unix seconds, as the notification has it.
        received_at: unix milliseconds.
        entry: the id of its entry in the inbox.
    """

    id: str
    topic: str
    created_at: int
    received_at: int
    entry: str


class Report(msgspec.Struct, frozen=True):
    """The observations of one message (a notification or a fetched object); applied as a whole or not at all."""

    workspace_id: str
    source: Source
    observations: tuple[Observation, ...]
    notification: NotificationMeta | None = None
