"""
What a workflow file says, once it is in order.

    MistakesError: a file cannot be used; it carries every mistake with its line.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

import msgspec

StepKind = Literal["action", "request", "http", "condition", "wait"]

# What starts a workflow: the type of the object and the kind of line in the feed.
EVENTS: dict[str, tuple[str, str]] = {
    "contact.created": ("contact", "created"),
    "contact.updated": ("contact", "updated"),
    "company.created": ("company", "created"),
    "company.updated": ("company", "updated"),
}

# All that can tell of a change, and what tells of it as it happens. A refetch is not among the latter: a backfill has
# what it saw in part fetched again, and nobody's old companies may start anything.
SOURCES = ("webhook", "write_through", "refetch", "backfill", "reconcile")
LIVE_SOURCES = ("webhook", "write_through")

# Methods that may be said twice without doing twice.
REPEATABLE_METHODS = frozenset({"GET", "HEAD", "PUT", "DELETE"})


class Mistake(NamedTuple):
    """What is wrong in a file, in which line (the first is 1)."""

    line: int
    text: str


class InvalidWorkflowError(Exception):
    """A file has mistakes; `mistakes` are in the order of their lines."""

    def __init__(self, mistakes: Iterable[Mistake]) -> None:
        self.mistakes = sorted(mistakes)
        super().__init__("\n".join(f"line {each.line}: {each.text}" for each in self.mistakes))


class Trigger(msgspec.Struct, frozen=True):
    """
    What starts runs.

    `where`: wanted values by dotted path in the record, see `workers.workflows.triggers.matching`. `changed`: one of
    these must have changed; empty for any. `own_changes`: whether what the workflow's own steps change may start it
    too.
    """

    event: str
    where: Mapping[str, Any] = {}
    changed: tuple[str, ...] = ()
    sources: tuple[str, ...] = LIVE_SOURCES
    own_changes: bool = False

    @property
    def object_type(self) -> str:
        """Contact or company."""
        return EVENTS[self.event][0]

    @property
    def op(self) -> str:
        """The kind of line in the feed: created or updated."""
        return EVENTS[self.event][1]


class WorkflowStep(msgspec.Struct, frozen=True):
    """
    One step. Texts in `fields` may hold templates.

    `fields`, by kind: an action's input; `method`, `path`, `query`, `body` of a request to Intercom; `url`, `headers`,
    `body` of one to the application; `condition`; `seconds` of a wait. `when`: a template; the step is passed over
    where it is false. `repeatable`: whether it may be said again where nobody knows if it was heard.
    """

    id: str
    kind: StepKind
    fields: Mapping[str, Any]
    action: str = ""
    when: str | None = None
    repeatable: bool = False


class Workflow(msgspec.Struct, frozen=True):
    """A whole file; `settings` are the names that its templates may use."""

    name: str
    trigger: Trigger
    steps: tuple[WorkflowStep, ...]
    settings: tuple[str, ...] = ()
