"""
What we can learn, in plain values: observations (facts about one object) and the reports that carry them.

Everything here orders itself: of two facts about the same thing the greater one wins, whichever came first.
"""

from typing import Any, Literal, NamedTuple

import msgspec

ObjectType = Literal["contact", "company", "tag", "segment"]
Source = Literal["webhook", "backfill", "reconcile", "refetch", "write_through"]

# The tables of links: whose list it is, and what the list holds. A link's owner is the object that lists it.
LINKS: dict[str, tuple[str, str]] = {
    "contact_companies": ("contact", "company"),
    "contact_tags": ("contact", "tag"),
    "contact_segments": ("contact", "segment"),
    "company_tags": ("company", "tag"),
    "company_segments": ("company", "segment"),
}

# The rank of a stamp that a fetch gave: within one second it beats what a topic says of a link.
FETCH_RANK = 2

# The second of every partial form: before the year 1, so that any whole form is newer.
PARTIAL_SECOND = -(10**12)


class Version(NamedTuple):
    """
    How new a content is. Fields compare in this order.

    `second`: updated_at in whole UTC seconds, which is all that REST gives. `fetched`: 1 for a fetch, which within
    one second beats a webhook (0). `fine`: a fetch's as_of, or a webhook's updated_at, in milliseconds, -1 if unknown.
    `created_at`, `notification_id`: of the envelope; 0 and "" for a fetch.
    """

    second: int
    fetched: int
    fine: int
    created_at: int
    notification_id: str


class Stamp(NamedTuple):
    """
    How new a fact about links is: its second, then its `rank` (0 embedded list, 1 topic, 2 fetch), then the rest.

    `second` is the envelope's created_at, or a fetch's as_of, in whole UTC seconds; `fine` milliseconds of an as_of.
    """

    second: int
    rank: int
    fine: int
    notification_id: str


class ArchivedFact(NamedTuple):
    """Whether an object is archived, as of the envelope's `created_at` (unix seconds)."""

    created_at: int
    notification_id: str
    archived: bool


class ListFact(NamedTuple):
    """The members of one list of the observed object: all of them if `complete`, else some."""

    stamp: Stamp
    ids: tuple[str, ...]
    complete: bool


class PairFact(NamedTuple):
    """One link of the observed object was made (`present`) or taken away."""

    stamp: Stamp
    other_id: str
    present: bool


class MergeFact(NamedTuple):
    """The observed contact became part of another one, at `merged_at` (unix seconds)."""

    into_id: str
    merged_at: int


class Observation(msgspec.Struct, frozen=True):
    """
    What we learnt about one object at one time.

    `content` comes with its `version`; `lists` and `pairs` are keyed by a name in LINKS.
    `deleted_at_ms`: milliseconds, the last instant at which the deletion may have happened.
    `confirmed_at_ms`: as_of of a GET by id that found the object; lists and searches lag and leave it None.
    `from_listing`: a list or a search says it; where that differs from what we hold, only a GET by id can decide.
    `refetched_from`: the value of the dirty counter from which a refetch began.
    `needs_refetch`: it changed in a way that the notification does not tell; to be refetched.
    `referenced_at`: unix second at which another object named this one in a link.
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
        """Whether it tells of single links and of nothing else, so that the object's content is not needed."""
        told = (self.content, self.deleted_at_ms, self.merged, self.archived, self.confirmed_at_ms)
        return bool(self.pairs) and not self.lists and all(fact is None for fact in told)


class NotificationMeta(msgspec.Struct, frozen=True):
    """A notification's line in the ledger; `entry` is its id in the inbox, `received_at` in unix milliseconds."""

    id: str
    topic: str
    created_at: int
    received_at: int
    entry: str


class Report(msgspec.Struct, frozen=True):
    """Everything that one message (a notification, or a fetched object) told us; it is applied whole or not at all."""

    workspace_id: str
    source: Source
    observations: tuple[Observation, ...]
    notification: NotificationMeta | None = None
