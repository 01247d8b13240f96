"""
What a sync run consists of: its parts, the results of reading their pages, and the parts it starts with.

A run (a row of `sync_runs`) reads one workspace. It is divided into parts (rows of `sync_parts`): one list, one window
of contacts, one segment. A part is read page by page, and each page leaves a cursor from which reading can resume.
This module holds plain values and does no I/O.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import Connection, Engine

from intercom_api.http.client import IntercomClient
from models.rule.observations import Report, Source
from workers.facts.from_fetch import Fetch

# Stages of a run; parts of a later stage wait until those of an earlier one are finished. In order: the lists; the
# members of each segment, which need the list of segments; contacts that left a segment; contacts that changed while
# the lists were read, because lists lag; objects that no list contained.
LISTS, MEMBERS, LEAVERS, LATE, CONFIRM = range(5)


class NewPart(NamedTuple):
    """A part to add to a run. A part that the run already has is left unchanged."""

    name: str
    stage: int


class Part(NamedTuple):
    """
    A part of a run.

    Attributes:
        name: unique within the run, for example "contacts/19000..19030".
        stage: see LISTS.
        cursor: what the last stored page left; None at the beginning.
        attempts: failures since the last stored page.
    """

    name: str
    stage: int
    cursor: Any
    attempts: int

    @property
    def kind(self) -> str:
        """The name up to the first slash, which decides how the part is read."""
        return self.name.partition("/")[0]

    @property
    def subject(self) -> str:
        """The name after the first slash, for example a window or a segment id; may be empty."""
        return self.name.partition("/")[2]


class SyncRun(NamedTuple):
    """
    A run that this process holds the lease of.

    Attributes:
        id: number of the run.
        workspace_id: the workspace that it reads.
        kind: "backfill" or "reconcile".
        started_at: when the first process began it.
        lease: name of the process that holds it.
        changes_since: unix second from which changed contacts are read.
        detail: the JSON column of the same name.
    """

    id: int
    workspace_id: str
    kind: str
    started_at: datetime
    lease: str
    changes_since: int
    detail: dict[str, Any]

    @property
    def is_complete(self) -> bool:
        """Whether the run reads everything, and not only what changed."""
        return self.kind == "backfill" or bool(self.detail.get("full"))

    @property
    def confirms_missing(self) -> bool:
        """Whether rows that no list contained are fetched by id at the end; only then are listed ids recorded."""
        return self.kind == "reconcile" and self.is_complete

    @property
    def source(self) -> Source:
        """The value of `_source` in the rows that the run writes."""
        return "backfill" if self.kind == "backfill" else "reconcile"


class RunContext(NamedTuple):
    """What the functions that read parts need: the run, access to its workspace, and an engine for SELECTs."""

    run: SyncRun
    client: IntercomClient
    fetch: Fetch
    reader: Engine


class PageResult(msgspec.Struct, frozen=True):
    """
    The result of reading one page of a part.

    Attributes:
        part: name of the part.
        reports: the observations to apply.
        cursor: where reading resumes; stored in one transaction with the rows of the page.
        done: whether the part is finished.
        seen: objects that the part has read so far.
        expected: objects that the part will have read at its end; None if unknown.
        listed: a kind, and ids of that kind to record as contained in a list, for later parts.
        new_parts: parts to add to the run.
        store: called within the transaction, to write what is not applied as a report.
    """

    part: str
    reports: list[Report]
    cursor: Any = None
    done: bool = False
    seen: int = 0
    expected: int | None = None
    listed: tuple[str, tuple[str, ...]] | None = None
    new_parts: tuple[NewPart, ...] = ()
    store: Callable[[Connection], None] | None = None


class TooManyMissingError(Exception):
    """An implausible number of rows is in no list of Intercom's; a person has to confirm that this is right."""

    def __init__(self, kind: str, count: int) -> None:
        super().__init__(
            f"{count} rows of type {kind} are in none of Intercom's lists. If that is right, run"
            " `intercom-mirror reconcile --accept-deletions`: each is fetched by its id before it is deleted."
        )
        self.kind = kind
        self.count = count


def first_parts(run: SyncRun) -> list[NewPart]:
    """Return the parts that a run starts with; reading them adds others."""
    lists = ["tags", "segments", "attributes/contact", "attributes/company", "companies"]
    parts = [NewPart(name, LISTS) for name in lists]
    if not run.is_complete:
        return [*parts, NewPart("late", LISTS)]
    parts += [NewPart("plan", LISTS), NewPart("late", LATE)]
    if run.confirms_missing:
        parts += [NewPart(f"confirm/{kind}", CONFIRM) for kind in ("contact", "company", "tag", "segment", "archived")]
    return parts


def window_part(window: object, segment_id: str | None = None) -> NewPart:
    """Return the part that reads a window of all contacts, or of the contacts in a segment."""
    if segment_id is None:
        return NewPart(f"contacts/{window}", LISTS)
    return NewPart(f"members/{segment_id}/{window}", MEMBERS)
