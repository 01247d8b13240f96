"""What runs are made of: parts, their steps, and which parts a run begins with. Plain values only."""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine

from intercom_api.http.client import IntercomClient
from models.rule.observations import Report, Source
from workers.facts.from_fetch import Fetch

# Stages: lists first; then what needs the names of all segments; then who is no longer in one; then what changed
# meanwhile, as lists lag; last what no list showed.
LISTS, MEMBERS, LEAVERS, LATE, CONFIRM = range(5)


class NewPart(NamedTuple):
    """A part to be added to a run; one that is there already stays as it is."""

    part: str
    stage: int


class Part(NamedTuple):
    """One part as it stands; `cursor` is what its last step left, None at the beginning."""

    part: str
    stage: int
    cursor: Any
    attempts: int

    @property
    def kind(self) -> str:
        """The word before the slash: what is read, and so how."""
        return self.part.partition("/")[0]

    @property
    def subject(self) -> str:
        """What stands behind the slash; empty if nothing does."""
        return self.part.partition("/")[2]


class SyncRun(NamedTuple):
    """A run in hand. `lease` names who works on it; `since`: unix second from which changes are asked for."""

    id: int
    workspace_id: str
    kind: str
    started_at: datetime
    lease: str
    since: int
    detail: dict[str, Any]

    @property
    def complete(self) -> bool:
        """Whether everything is walked, and not only what changed."""
        return self.kind == "backfill" or bool(self.detail.get("full"))

    @property
    def confirms(self) -> bool:
        """Whether rows that no list shows are asked for at the end: only then need it be noted what lists show."""
        return self.kind == "reconcile" and self.complete

    @property
    def source(self) -> Source:
        """What rows will name as their source."""
        return "backfill" if self.kind == "backfill" else "reconcile"


class RunContext(NamedTuple):
    """What steps are made with: the run, how to ask its workspace, and an engine for reading."""

    run: SyncRun
    client: IntercomClient
    fetch: Fetch
    reader: Engine


class PageResult(msgspec.Struct, frozen=True):
    """
    One page, read: what it tells, and where to go on after it.

    `cursor` goes into the part's row with the page's rows; `done` ends the part. `seen`: objects this part has read so
    far, `expected`: those it will have read. `shown`: ids that later parts ask for, by their kind. `more`: parts to be
    added. `also` is called in the transaction and may tell more.
    """

    part: str
    reports: list[Report]
    cursor: Any = None
    done: bool = False
    seen: int = 0
    expected: int | None = None
    shown: tuple[str, tuple[str, ...]] | None = None
    more: tuple[NewPart, ...] = ()
    also: Callable[[Connection], list[Report]] | None = None


class TooManyGoneError(Exception):
    """More objects than is believable are in the tables and in no list; a person has to say that this is right."""

    def __init__(self, kind: str, count: int) -> None:
        super().__init__(
            f"{count} rows of {kind} are in no list of Intercom's. If that is right, run"
            " `intercom-mirror reconcile --accept-deletions`: each is looked up by its id before it goes."
        )
        self.kind = kind
        self.count = count


def first_parts(run: SyncRun) -> list[NewPart]:
    """Return the parts that a run begins with; the first steps add others."""
    lists = ["tags", "segments", "attributes/contact", "attributes/company", "companies"]
    parts = [NewPart(name, LISTS) for name in lists]
    if not run.complete:
        return [*parts, NewPart("late", LISTS)]
    parts += [NewPart("plan", LISTS), NewPart("late", LATE)]
    if run.confirms:
        parts += [NewPart(f"confirm/{kind}", CONFIRM) for kind in ("contact", "company", "tag", "segment", "archived")]
    return parts


def window_part(window: object, segment_id: str | None = None) -> NewPart:
    """Return the part that reads a window of all contacts, or of those in a segment."""
    return (
        NewPart(f"contacts/{window}", LISTS)
        if segment_id is None
        else NewPart(f"members/{segment_id}/{window}", MEMBERS)
    )
